/** A summary of several measurements, in the unit of the values. */
export interface Summary {
  readonly count: number;
  readonly min: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** @throws RangeError when there are no values or one is not a number */
export function summarize(values: readonly number[]): Summary {
  const sorted = sortedNumbers(values);
  return {
    count: sorted.length,
    min: sorted[0]!,
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    max: sorted[sorted.length - 1]!,
  };
}

/** @throws RangeError when there are no values or one is not a number */
export function median(values: readonly number[]): number {
  return quantile(sortedNumbers(values), 0.5);
}

/** Interpolates linearly between the two nearest sorted values (Hyndman and Fan 1996, type 7). */
function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)]!;
  const above = sorted[Math.ceil(at)]!;
  return below + (above - below) * (at - Math.floor(at));
}

function sortedNumbers(values: readonly number[]): number[] {
  if (values.length === 0) throw new RangeError('no values');
  const wrong = values.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw new RangeError(`value ${wrong} is ${values[wrong]}`);
  return [...values].sort((a, b) => a - b);
}

/** The longest time between two successive events; 0 for fewer than two. `times` must be in order. */
export function longestGap(times: readonly number[]): number {
  return times.reduce((longest, time, i) => (i === 0 ? 0 : Math.max(longest, time - times[i - 1]!)), 0);
}
