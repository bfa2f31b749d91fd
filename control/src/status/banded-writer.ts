import { backoffMs, type Clock, type Timer } from '@millrace/service';

/** none: within the bands; value: a measurement has left its band; state: anything else has changed. */
export type Difference = 'none' | 'value' | 'state';

export interface WriteIntervals {
  /** Minimum time between writes of an object, ms. */
  stateMs: number;
  valueMs: number;
  /** Maximum time after which a different status is written, ms. */
  refreshMs: number;
}

const WRITE_INTERVALS: WriteIntervals = { stateMs: 1000, valueMs: 10_000, refreshMs: 300_000 };

export interface BandedWriterOptions<T> {
  difference: (written: T, now: T) => Difference;
  /** Resolves to false when the object no longer exists. */
  write: (key: string, status: T) => Promise<boolean>;
  intervals?: Partial<WriteIntervals>;
  clock: Clock;
  /** Random source in [0, 1), which spreads the refreshes. */
  random: () => number;
}

interface Kept<T> {
  desired: T;
  written: T | undefined;
  writtenAt: number;
  refreshAt: number;
  failures: number;
  writing: boolean;
  timer: Timer | undefined;
  timerAt: number;
}

const RETRY = { baseMs: 2000, maxMs: 30_000 };

/** Earliest time at which a difference may be written, on the clock of `writtenAt`. */
function writeAt(difference: Difference, kept: { writtenAt: number; refreshAt: number }, intervals: WriteIntervals): number {
  if (difference === 'state') return kept.writtenAt + intervals.stateMs;
  if (difference === 'value') return kept.writtenAt + intervals.valueMs;
  return kept.refreshAt;
}

/** Writes the latest desired state of each object when it differs enough from the written one, and limits how often. */
export class BandedWriter<T> {
  readonly #options: BandedWriterOptions<T>;
  readonly #intervals: WriteIntervals;
  readonly #kept = new Map<string, Kept<T>>();
  #stopped = false;

  constructor(options: BandedWriterOptions<T>) {
    this.#options = options;
    this.#intervals = { ...WRITE_INTERVALS, ...options.intervals };
  }

  /** The state written last, as far as this process knows. */
  written(key: string): T | undefined {
    return this.#kept.get(key)?.written;
  }

  /** `standing`: what the object shows now, given with the first offer of a key, so that a restart does not write an unchanged status. */
  offer(key: string, desired: T, standing?: T): void {
    if (this.#stopped) return;
    let kept = this.#kept.get(key);
    if (!kept) {
      const refreshAt = this.#options.clock.now() + this.#intervals.refreshMs * this.#options.random();
      kept = {
        desired,
        written: standing,
        writtenAt: -Infinity,
        refreshAt,
        failures: 0,
        writing: false,
        timer: undefined,
        timerAt: 0,
      };
      this.#kept.set(key, kept);
    }
    kept.desired = desired;
    this.#decide(key, kept);
  }

  forget(key: string): void {
    this.#options.clock.clearTimeout(this.#kept.get(key)?.timer);
    this.#kept.delete(key);
  }

  stop(): void {
    this.#stopped = true;
    for (const key of [...this.#kept.keys()]) this.forget(key);
  }

  #decide(key: string, kept: Kept<T>): void {
    if (kept.writing || kept.failures > 0) return;
    const difference = kept.written === undefined ? 'state' : this.#options.difference(kept.written, kept.desired);
    const at = writeAt(difference, kept, this.#intervals);
    if (at <= this.#options.clock.now()) void this.#write(key, kept);
    else if (difference !== 'none') this.#wake(key, kept, at);
  }

  #wake(key: string, kept: Kept<T>, at: number): void {
    if (kept.timer && kept.timerAt <= at) return;
    this.#options.clock.clearTimeout(kept.timer);
    kept.timerAt = at;
    kept.timer = this.#options.clock.setTimeout(
      () => {
        kept.timer = undefined;
        if (kept.failures > 0) void this.#write(key, kept);
        else this.#decide(key, kept);
      },
      Math.max(0, at - this.#options.clock.now()),
    );
    kept.timer.unref();
  }

  async #write(key: string, kept: Kept<T>): Promise<void> {
    const { clock, write, random } = this.#options;
    this.#options.clock.clearTimeout(kept.timer);
    kept.timer = undefined;
    kept.writing = true;
    const status = kept.desired;
    kept.writtenAt = clock.now();
    try {
      if (!(await write(key, status))) return this.forget(key);
      kept.written = status;
      kept.failures = 0;
      kept.refreshAt = kept.writtenAt + this.#intervals.refreshMs * (0.8 + 0.2 * random());
    } catch {
      kept.failures++;
    } finally {
      kept.writing = false;
    }
    if (this.#kept.get(key) !== kept) return;
    if (kept.failures > 0) this.#wake(key, kept, clock.now() + backoffMs(RETRY, kept.failures, random));
    else this.#decide(key, kept);
  }
}
