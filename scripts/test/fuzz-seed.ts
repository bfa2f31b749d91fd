import fc from 'fast-check';

// Loaded before each test file: all runs use the same random inputs unless FUZZ_SEED (a number) is set.
const seed = Number(process.env['FUZZ_SEED'] ?? 1);
if (!Number.isSafeInteger(seed)) throw new Error('FUZZ_SEED must be a whole number');
fc.configureGlobal({ seed });
