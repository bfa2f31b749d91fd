import type { Clock, Timer } from '@millrace/service';

/**
 * One timer for all that waits: rings at the earliest time that was asked for, and never while nobody waits. A thread that wakes up for
 * nothing pays for its cold caches each time.
 */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  readonly #restMs: number;
  #timer: Timer | undefined;
  #dueMs = Infinity;
  #rungAtMs = -Infinity;
  #stopped = false;

  /** @param restMs how far apart it rings at least, so that many deadlines close together are met at once */
  constructor(clock: Clock, restMs: number, ring: () => void) {
    this.#clock = clock;
    this.#restMs = restMs;
    this.#ring = ring;
  }

  /** Rings at `dueMs`, or earlier if someone else asked for that. */
  by(dueMs: number): void {
    if (dueMs >= this.#dueMs || this.#stopped) return;
    this.#clock.clearTimeout(this.#timer);
    this.#dueMs = Math.max(dueMs, this.#rungAtMs + this.#restMs);
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
    this.#rungAtMs = this.#clock.now();
    this.#ring();
  };
}
