import type { Clock, Timer } from '@millrace/service';

/**
 * One timer for many deadlines: fires at the earliest deadline that was requested, and not at all while there is none. Deadlines that
 * lie close together share one wake-up, since each wake-up of the thread starts with cold CPU caches.
 */
export class CoalescedTimer {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  readonly #minIntervalMs: number;
  #timer: Timer | undefined;
  #dueMs = Infinity;
  #firedAtMs = -Infinity;
  #stopped = false;

  /** @param minIntervalMs the least time between two calls of `onDue` */
  constructor(clock: Clock, minIntervalMs: number, onDue: () => void) {
    this.#clock = clock;
    this.#minIntervalMs = minIntervalMs;
    this.#onDue = onDue;
  }

  /** Arms the timer for `dueMs` unless it is due earlier already. */
  armBy(dueMs: number): void {
    if (dueMs >= this.#dueMs || this.#stopped) return;
    this.#clock.clearTimeout(this.#timer);
    this.#dueMs = Math.max(dueMs, this.#firedAtMs + this.#minIntervalMs);
    this.#timer = this.#clock.setTimeout(this.#onTimer, Math.max(0, this.#dueMs - this.#clock.now()));
  }

  stop(): void {
    this.#stopped = true;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#dueMs = Infinity;
    this.#firedAtMs = this.#clock.now();
    this.#onDue();
  };
}
