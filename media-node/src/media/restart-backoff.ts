import { exponentialMs } from '@millrace/service';

const RESTART = { baseMs: 250, maxMs: 15_000 };
/** A worker that ran this long resets the back-off. */
const STABLE_MS = 60_000;
/** A core counts as failing after this many short-lived workers in a row. */
const FAILING_AFTER = 3;

/**
 * The back-off before a core's next worker starts: none after a single death, then exponential up to 15 s while workers die soon after their start.
 * Callers pass the time, in ms of any monotonic clock.
 */
export class RestartBackoff {
  #startedAtMs: number | undefined;
  #shortLives = 0;

  started(nowMs: number): void {
    this.#startedAtMs = nowMs;
  }

  /** The worker died or could not start. @returns the delay in ms before the next start */
  ended(nowMs: number): number {
    const wasStable = this.#startedAtMs !== undefined && nowMs - this.#startedAtMs >= STABLE_MS;
    this.#startedAtMs = undefined;
    this.#shortLives = wasStable ? 1 : this.#shortLives + 1;
    return this.#shortLives === 1 ? 0 : exponentialMs(RESTART, this.#shortLives - 1);
  }

  /** Whether the core's workers die repeatedly. False again once a worker has run for a minute. */
  isFailing(nowMs: number): boolean {
    if (this.#shortLives < FAILING_AFTER) return false;
    return this.#startedAtMs === undefined || nowMs - this.#startedAtMs < STABLE_MS;
  }
}
