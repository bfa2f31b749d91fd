import type { Clock, Timer } from '@millrace/service';
import type { FakeClock } from '@millrace/testkit';

interface Entry extends Timer {
  timer: Timer | undefined;
  fn: () => void;
  state: 'waiting' | 'due' | 'over';
}

/**
 * The clock of one simulated process. The process can be killed, or stopped as by SIGSTOP: its monotonic clock advances, but none of its
 * code runs. Its wall clock can have an offset and jump.
 */
export class ProcessClock implements Clock {
  /** Added to the simulation's wall clock. */
  wallOffsetMs = 0;
  readonly #world: FakeClock;
  readonly #entries = new Set<Entry>();
  #state: 'running' | 'stopped' | 'dead' = 'running';
  #waiting: (() => void)[] = [];

  constructor(world: FakeClock) {
    this.#world = world;
  }

  get state(): 'running' | 'stopped' | 'dead' {
    return this.#state;
  }

  now(): number {
    return this.#world.now();
  }

  wall(): number {
    return this.#world.wall() + this.wallOffsetMs;
  }

  setTimeout(fn: () => void, ms: number): Timer {
    const entry: Entry = { fn, state: 'waiting', timer: undefined, unref: () => entry };
    if (this.#state === 'dead') return entry;
    this.#entries.add(entry);
    entry.timer = this.#world.setTimeout(() => {
      entry.state = 'due';
      if (this.#state === 'running') this.#run(entry);
    }, ms);
    return entry;
  }

  clearTimeout(timer: Timer | undefined): void {
    const entry = timer as Entry | undefined;
    if (!entry) return;
    this.#world.clearTimeout(entry.timer);
    this.#entries.delete(entry);
    entry.state = 'over';
  }

  /** The number of timers that are not due yet, or due but held back. */
  get pendingTimers(): number {
    return this.#entries.size;
  }

  stop(): void {
    if (this.#state === 'running') this.#state = 'stopped';
  }

  /** Runs the due timers and delivers the answers that arrived meanwhile. With `answersFirst`, code that awaited answers runs first. */
  resume(answersFirst: boolean): void {
    if (this.#state !== 'stopped') return;
    this.#state = 'running';
    const timers = (): void => {
      for (const entry of [...this.#entries]) if (entry.state === 'due') this.#run(entry);
    };
    if (!answersFirst) timers();
    for (const go of this.#waiting.splice(0)) go();
    if (answersFirst) setImmediate(timers);
  }

  kill(): void {
    this.#state = 'dead';
    for (const entry of [...this.#entries]) this.clearTimeout(entry);
    this.#waiting = [];
  }

  /** Resolves once the process runs; never if it is dead. */
  whenRunning(): Promise<void> | undefined {
    if (this.#state === 'running') return undefined;
    return new Promise((resolve) => {
      if (this.#state === 'stopped') this.#waiting.push(resolve);
    });
  }

  #run(entry: Entry): void {
    this.#entries.delete(entry);
    entry.state = 'over';
    entry.fn();
  }
}
