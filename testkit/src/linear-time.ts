import assert from 'node:assert/strict';

/** Below this, a measurement says nothing, in ms. */
const NOISE_MS = 3;

/**
 * Checks that an input of four times the length costs no more than some ten times as much: quadratic cost would be sixteen times. The best of
 * five measurements counts for each length.
 * @param inputOf an input of about this length that is as costly as possible
 * @param length of the shorter input; four times as long is the largest that is allowed
 */
export function assertLinear<T>(what: string, inputOf: (length: number) => T, run: (input: T) => unknown, length: number): void {
  const cost = (input: T): number => {
    const times = Array.from({ length: 5 }, () => {
      const start = process.cpuUsage();
      run(input);
      const { user, system } = process.cpuUsage(start);
      return (user + system) / 1000;
    });
    return Math.max(NOISE_MS, Math.min(...times));
  };
  const [short, long] = [inputOf(length), inputOf(4 * length)];
  cost(short); // compiles the code
  const [shortMs, longMs] = [cost(short), cost(long)];
  assert.ok(longMs <= 10 * shortMs, `${what}: ${shortMs} ms for ${length}, ${longMs} ms for ${4 * length}`);
}
