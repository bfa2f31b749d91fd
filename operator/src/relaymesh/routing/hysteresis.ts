import type { Path } from './paths.ts';
import { sameHops } from './paths.ts';

/** RelayMesh.spec.routing.hysteresis: a route changes only when another is clearly and lastingly better. */
export interface Hysteresis {
  readonly improvementPercent: number;
  /** Number of consecutive evaluations in which a better path must be seen. */
  readonly windows: number;
  /** Minimum time that a route stays, unless it breaks. */
  readonly dwellMs: number;
}

/** Minimum time between two evaluations that count separately. */
export const EVALUATION_WINDOW_MS = 5_000;

/** Smaller improvements are within the noise of measurement and not noticeable. */
const MIN_IMPROVEMENT_MS = 2;

/** A better path under observation: the number of windows in which it was seen, and when the last one was counted. */
export interface Challenge {
  readonly windows: number;
  readonly countedAt: number;
}

export interface Choice {
  readonly path: Path;
  readonly since: number;
  readonly challenge: Challenge | undefined;
}

/**
 * Chooses between the path in use and the best one.
 * @param current the path in use as it measures now; undefined when it broke or no longer satisfies the policy: then the best is taken at once.
 * @param since when the current path was chosen (ms).
 */
export function choosePath(
  current: Path | undefined,
  since: number,
  best: Path,
  challenge: Challenge | undefined,
  rule: Hysteresis,
  now: number,
): Choice {
  if (!current) return { path: best, since: now, challenge: undefined };
  const keep = { path: current, since };
  const gainMs = current.costMs - best.costMs;
  const isBetter = gainMs >= MIN_IMPROVEMENT_MS && gainMs >= (rule.improvementPercent / 100) * current.costMs;
  if (sameHops(current.hops, best.hops) || !isBetter) return { ...keep, challenge: undefined };
  const next = countWindow(challenge, now);
  if (next.windows >= rule.windows && now - since >= rule.dwellMs) return { path: best, since: now, challenge: undefined };
  return { ...keep, challenge: next };
}

function countWindow(challenge: Challenge | undefined, now: number): Challenge {
  if (!challenge) return { windows: 1, countedAt: now };
  if (now - challenge.countedAt < EVALUATION_WINDOW_MS) return challenge;
  return { windows: challenge.windows + 1, countedAt: now };
}
