/** The slope of one quantity over another, with its 95% confidence interval from `low` to `high`. */
export interface Slope {
  readonly slope: number;
  readonly low: number;
  readonly high: number;
}

export interface Point {
  readonly atMs: number;
  readonly value: number;
}

/** The two-sided 95% quantile of the normal distribution. */
const Z = 1.96;
const MIN_POINTS = 4;

/**
 * The median of the slopes between all pairs of points (Theil 1950), with the interval of Sen (1968): the pairwise slopes
 * whose ranks lie Z standard deviations of Kendall's S around the middle. Single outliers, such as one late garbage collection, do not move it.
 * @throws RangeError for fewer than four points
 */
export function theilSen(points: readonly { readonly x: number; readonly y: number }[]): Slope {
  const n = points.length;
  if (n < MIN_POINTS) throw new RangeError(`${n} points: a slope needs at least ${MIN_POINTS}`);
  const slopes: number[] = [];
  points.forEach((a, i) => {
    for (const b of points.slice(i + 1)) if (b.x !== a.x) slopes.push((b.y - a.y) / (b.x - a.x));
  });
  slopes.sort((a, b) => a - b);
  const spread = Z * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const at = (rank: number) => slopes[Math.min(slopes.length - 1, Math.max(0, Math.round(rank)))]!;
  const middle = (slopes.length - 1) / 2;
  return {
    slope: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    low: at(middle - spread / 2),
    high: at(middle + spread / 2),
  };
}

/** The minimum of each window of that length, counted from the first point; for a heap, its size after the best collection. */
export function minima(points: readonly Point[], windowMs: number): Point[] {
  const least = new Map<number, Point>();
  for (const point of points) {
    const window = Math.floor((point.atMs - points[0]!.atMs) / windowMs);
    const known = least.get(window);
    if (!known || point.value < known.value) least.set(window, point);
  }
  return [...least.values()];
}

export interface Growth {
  /** In the quantity's unit per minute. */
  readonly perMinute: Slope;
  /** The median of the values. */
  readonly level: number;
  /** The total growth over the measured time, according to the slope. */
  readonly grownBy: number;
  readonly verdict: 'flat' | 'grows' | 'shrinks';
}

/**
 * A quantity grows or shrinks when zero lies outside of the slope's interval and the total change exceeds the noise: more than `min`, in
 * the quantity's unit, and more than `share` of its level.
 * @throws RangeError for fewer than four points
 */
export function growthOf(points: readonly Point[], noise: { readonly min: number; readonly share: number }): Growth {
  const perMinute = theilSen(points.map(({ atMs, value }) => ({ x: atMs / 60_000, y: value })));
  const minutes = (points[points.length - 1]!.atMs - points[0]!.atMs) / 60_000;
  const level = [...points].sort((a, b) => a.value - b.value)[Math.floor(points.length / 2)]!.value;
  const grownBy = perMinute.slope * minutes;
  const isNoticeable = Math.abs(grownBy) > Math.max(noise.min, Math.abs(level) * noise.share);
  const verdict = isNoticeable && perMinute.low > 0 ? 'grows' : isNoticeable && perMinute.high < 0 ? 'shrinks' : 'flat';
  return { perMinute, level, grownBy, verdict };
}
