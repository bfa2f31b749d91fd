import type { Clock, Timer } from '@millrace/service';

/** How fast the clock corrects a difference: by at most 5 s in 100 s. */
const MAX_SLEW = 0.05;

/**
 * A clock whose wall time follows the API server's and advances with the host's monotonic clock. Every timestamp that a plan compares
 * (creation, deletion, start of a drain) was set by that server, or by us from this clock. So a wrong host clock does not matter, and no
 * jump of either clock makes a deadline expire early: after the first measurement, the clock is slewed and never stepped.
 */
export class ServerClock implements Clock {
  readonly #local: Clock;
  /** Wall time minus monotonic time, in ms: the value in use at `#shownAtMs`, and the measured value. */
  #shownOffsetMs: number;
  #shownAtMs: number;
  #measuredOffsetMs: number;
  #isMeasured = false;

  constructor(local: Clock) {
    this.#local = local;
    this.#shownAtMs = local.now();
    this.#shownOffsetMs = this.#measuredOffsetMs = local.wall() - this.#shownAtMs;
  }

  /** Takes the `Date` of an answer (ms since the epoch, whole seconds) and when its request was sent (monotonic, ms). */
  observe(dateMs: number, sentMs: number): void {
    const [earliest, latest] = [dateMs - this.#local.now(), dateMs + 1_000 - sentMs];
    const fitting = Math.min(Math.max(this.#measuredOffsetMs, earliest), latest);
    this.#advance();
    this.#measuredOffsetMs = fitting;
    if (!this.#isMeasured) this.#shownOffsetMs = fitting;
    this.#isMeasured = true;
  }

  now(): number {
    return this.#local.now();
  }

  wall(): number {
    this.#advance();
    return this.#shownAtMs + this.#shownOffsetMs;
  }

  setTimeout(fn: () => void, ms: number): Timer {
    return this.#local.setTimeout(fn, ms);
  }

  clearTimeout(timer: Timer | undefined): void {
    this.#local.clearTimeout(timer);
  }

  #advance(): void {
    const now = this.#local.now();
    const step = (now - this.#shownAtMs) * MAX_SLEW;
    const left = this.#measuredOffsetMs - this.#shownOffsetMs;
    this.#shownOffsetMs += Math.min(step, Math.max(-step, left));
    this.#shownAtMs = now;
  }
}
