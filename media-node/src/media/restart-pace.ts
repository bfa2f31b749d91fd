import { exponentialMs } from '@millrace/service';

const RESTART = { baseMs: 250, maxMs: 15_000 };
/** A worker that lived this long did not die of what killed those before it. */
const STABLE_MS = 60_000;
/** So many short lives in a row are no accident. */
const FAILING_AFTER = 3;

/**
 * How soon a core's next worker starts: at once after a single death, ever later when one after the other dies young, at most every 15 s.
 * Time is passed in, in ms of any steady clock.
 */
export class RestartPace {
  #startedAtMs: number | undefined;
  #shortLives = 0;

  started(nowMs: number): void {
    this.#startedAtMs = nowMs;
  }

  /** The worker died, or could not start. @returns ms to wait before the next one */
  ended(nowMs: number): number {
    const wasStable = this.#startedAtMs !== undefined && nowMs - this.#startedAtMs >= STABLE_MS;
    this.#startedAtMs = undefined;
    this.#shortLives = wasStable ? 1 : this.#shortLives + 1;
    return this.#shortLives === 1 ? 0 : exponentialMs(RESTART, this.#shortLives - 1);
  }

  /** Whether its workers die again and again; over once one has lived long enough. */
  isFailing(nowMs: number): boolean {
    if (this.#shortLives < FAILING_AFTER) return false;
    return this.#startedAtMs === undefined || nowMs - this.#startedAtMs < STABLE_MS;
  }
}
