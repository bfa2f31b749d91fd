export interface BackoffPolicy {
  /** Delay after the first failure, before jitter. */
  baseMs: number;
  /** Upper bound of the delay, before jitter. */
  maxMs: number;
}

/** The delay after `failures` consecutive failures (from 1), doubled each time, without jitter. */
export function exponentialMs(policy: BackoffPolicy, failures: number): number {
  return Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(failures - 1, 30));
}

/**
 * Exponential back-off with equal jitter: half of the delay is fixed, half is random, so that clients that failed together do not
 * retry together. `failures` counts from 1; `random` is uniform in [0, 1).
 */
export function backoffMs(policy: BackoffPolicy, failures: number, random: () => number): number {
  const full = exponentialMs(policy, failures);
  return full / 2 + (full / 2) * random();
}
