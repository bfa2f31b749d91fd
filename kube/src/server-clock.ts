import type { Clock, Timer } from '@millrace/service';

/** How fast the shown wall clock follows a difference: in 100 s by 5 s. */
const MAX_SLEW = 0.05;

/**
 * A clock whose wall time is the API server's, carried on by our own monotonic clock. What a plan compares (creation, deletion, since
 * when a drain lasts) was stamped by that server, or by us with this clock; so neither this host's wrong or jumping clock nor a jump of
 * the server's makes a deadline pass before its time: a difference is followed slowly, the first measurement aside.
 */
export class ServerClock implements Clock {
  readonly #local: Clock;
  /** Wall time minus monotonic time: as shown at `#shownAtMs`, and as measured. */
  #shownOffsetMs: number;
  #shownAtMs: number;
  #measuredOffsetMs: number;
  #isMeasured = false;

  constructor(local: Clock) {
    this.#local = local;
    this.#shownAtMs = local.now();
    this.#shownOffsetMs = this.#measuredOffsetMs = local.wall() - this.#shownAtMs;
  }

  /** An answer said `dateMs`, in whole seconds; it was asked for at `sentMs` (monotonic). */
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
