import fc from 'fast-check';

// Loaded before each test file: everybody's run meets the same random inputs, until FUZZ_SEED says otherwise (a number).
const seed = Number(process.env['FUZZ_SEED'] ?? 1);
if (!Number.isSafeInteger(seed)) throw new Error('FUZZ_SEED must be a whole number');
fc.configureGlobal({ seed });
