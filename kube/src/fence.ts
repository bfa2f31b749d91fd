import type { Clock, Timer } from '@millrace/service';
import { NotLeaderError } from './errors.ts';

/** Lets writes through only while it is open. */
export interface Fence {
  /** Throws NotLeaderError unless open at this very moment. */
  assertOpen(): void;
  /** How long it stays open if nothing renews it; 0 when closed. */
  remainingMs(): number;
  /** Aborts, with a NotLeaderError, when it closes; it never opens again. */
  readonly signal: AbortSignal;
}

/**
 * The fence of one leadership term. It closes by itself when it was not extended in time: measured at each question by the monotonic
 * clock, so that a process that was stopped (SIGSTOP, VM pause, long garbage collection) finds it closed before any timer has run.
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

  /** The lease was renewed by a request sent early enough for `openUntilMs` (monotonic). A closed fence stays closed. */
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
