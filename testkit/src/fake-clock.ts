import type { Clock, Timer } from '@millrace/service';

interface Pending extends Timer {
  dueMs: number;
  order: number;
  fn: () => void;
}

/** A clock that a test advances. Timers run in order of due time, and in order of creation when due times are equal. */
export class FakeClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #wallAtStartMs: number;
  readonly #pending = new Set<Pending>();

  constructor(wallAtStartMs = Date.UTC(2030, 0, 1)) {
    this.#wallAtStartMs = wallAtStartMs;
  }

  now(): number {
    return this.#nowMs;
  }

  wall(): number {
    return this.#wallAtStartMs + this.#nowMs;
  }

  setTimeout(fn: () => void, ms: number): Timer {
    const timer: Pending = { dueMs: this.#nowMs + Math.max(0, ms), order: this.#order++, fn, unref: () => timer };
    this.#pending.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer | undefined): void {
    this.#pending.delete(timer as Pending);
  }

  /** The number of pending timers; 0 after a clean stop. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** Advances the clock by `ms` and runs the timers that become due, including those that they create. */
  advance(ms: number): void {
    const until = this.#nowMs + ms;
    for (let timer = this.#next(until); timer; timer = this.#next(until)) this.#run(timer);
    this.#nowMs = until;
  }

  /** Like advance, but runs promise and I/O callbacks before, between and after the timers. */
  async settle(ms = 0): Promise<void> {
    const until = this.#nowMs + ms;
    await settled();
    for (let timer = this.#next(until); timer; timer = this.#next(until)) {
      this.#run(timer);
      await settled();
    }
    this.#nowMs = until;
  }

  #next(untilMs: number): Pending | undefined {
    let next: Pending | undefined;
    for (const timer of this.#pending) {
      if (timer.dueMs > untilMs) continue;
      if (!next || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order)) next = timer;
    }
    return next;
  }

  #run(timer: Pending): void {
    this.#pending.delete(timer);
    this.#nowMs = timer.dueMs;
    timer.fn();
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
