import type { Clock, Timer } from '@millrace/service';
import { NotLeaderError } from './errors.ts';

/** Permits writes only while it is open. */
export interface Fence {
  /** Throws NotLeaderError unless the fence is open now. */
  assertOpen(): void;
  /** How long it stays open without an extension; 0 when closed. */
  remainingMs(): number;
  /** Aborts with a NotLeaderError when the fence closes. A closed fence never reopens. */
  readonly signal: AbortSignal;
}

/**
 * The fence of one leadership term. It closes when it is not extended in time. Each call compares the deadline with the monotonic clock,
 * so that a process that was paused (SIGSTOP, VM pause, long garbage collection) finds the fence closed before any timer has run.
 */
export class LeaseFence implements Fence {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  #openUntilMs: number;
  #timer: Timer | undefined;

  constructor(clock: Clock, openUntilMs: number) {
    this.#clock = clock;
    this.#openUntilMs = openUntilMs;
    this.#arm();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  remainingMs(): number {
    return this.signal.aborted ? 0 : Math.max(0, this.#openUntilMs - this.#clock.now());
  }

  assertOpen(): void {
    if (this.remainingMs() <= 0) {
      this.close('the lease was not renewed in time');
      throw this.signal.reason;
    }
  }

  /** Keeps the fence open until `openUntilMs` (monotonic) after a renewal of the lease. A closed fence stays closed. */
  extend(openUntilMs: number): void {
    if (this.remainingMs() <= 0) return this.close('the lease was not renewed in time');
    this.#openUntilMs = openUntilMs;
    this.#arm();
  }

  close(why: string): void {
    this.#clock.clearTimeout(this.#timer);
    if (!this.signal.aborted) this.#controller.abort(new NotLeaderError(`not leading: ${why}`));
  }

  #arm(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => {
      if (this.remainingMs() <= 0) this.close('the lease was not renewed in time');
      else this.#arm();
    }, this.#openUntilMs - this.#clock.now());
  }
}
