export interface BackoffPolicy {
  /** Delay after the first failure, before jitter. */
  baseMs: number;
  /** Never longer than this. */
  maxMs: number;
}

/**
 * Exponential back-off with equal jitter: half of the delay is certain, half is random, so that clients which failed together do not
 * come back together. `failures` counts from 1; `random` is uniform in [0, 1).
 */
export function backoffMs(policy: BackoffPolicy, failures: number, random: () => number): number {
  const full = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(failures - 1, 30));
  return full / 2 + (full / 2) * random();
}
