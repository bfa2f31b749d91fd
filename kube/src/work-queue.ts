import type { Clock, Timer } from '@millrace/service';
import { backoffMs, type BackoffPolicy } from '@millrace/service';
import type { KubeMetrics } from './metrics.ts';

export interface WorkQueueOptions {
  /** The `queue` label of its metrics. */
  name: string;
  clock: Clock;
  /** Uniform in [0, 1). */
  random: () => number;
  /** The back-off of failed keys; default 0.2 s to 60 s. */
  backoff?: BackoffPolicy | undefined;
  metrics?: KubeMetrics | undefined;
}

export interface WorkOptions {
  /** The maximum number of keys handled concurrently. One key is never handled twice at the same time. */
  concurrency: number;
  /** After it aborts, the queue starts no further key. */
  signal: AbortSignal;
  /** Called for each failure, before the key goes into back-off. */
  onError: (key: string, error: unknown, failures: number) => void;
}

/**
 * A queue of keys to reconcile. A key waits at most once, however often it is added (client-go's dirty and processing sets). A key that
 * is added while it is handled is handled once more afterwards. If a key is added with several delays, the earliest time wins. A failed
 * key is retried with exponential back-off, without a limit on retries.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #backoff: BackoffPolicy;
  /** Ready keys in order, with the time (monotonic, ms) at which they became ready. */
  readonly #ready = new Map<string, number>();
  readonly #processing = new Set<string>();
  /** Added while being handled. */
  readonly #dirty = new Set<string>();
  readonly #delayed = new Map<string, { dueMs: number; timer: Timer }>();
  readonly #failures = new Map<string, number>();
  #dispatch: (() => void) | undefined;
  #closed = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#backoff = options.backoff ?? { baseMs: 200, maxMs: 60_000 };
  }

  /** The number of ready keys. */
  get depth(): number {
    return this.#ready.size;
  }

  /** The number of keys that are not due yet. */
  get delayed(): number {
    return this.#delayed.size;
  }

  /** Makes the key ready now. */
  add(key: string): void {
    if (this.#closed) return;
    this.#cancelDelay(key);
    if (this.#processing.has(key)) this.#dirty.add(key);
    else if (!this.#ready.has(key)) this.#ready.set(key, this.#options.clock.now());
    this.#reportDepth();
    this.#dispatch?.();
  }

  /** Makes the key ready in `delayMs`, unless it is or becomes ready sooner. */
  addAfter(key: string, delayMs: number): void {
    if (delayMs <= 0) return this.add(key);
    if (this.#closed || this.#ready.has(key) || this.#dirty.has(key)) return;
    const dueMs = this.#options.clock.now() + delayMs;
    const planned = this.#delayed.get(key);
    if (planned && planned.dueMs <= dueMs) return;
    this.#cancelDelay(key);
    const timer = this.#options.clock.setTimeout(() => {
      this.#delayed.delete(key);
      this.add(key);
    }, delayMs);
    this.#delayed.set(key, { dueMs, timer });
  }

  /**
   * Handles keys until the signal aborts, then waits for running handlers and drops the waiting keys. A handler may return a delay after
   * which the key is handled again. May be called once.
   */
  run(handle: (key: string) => Promise<{ requeueAfterMs?: number | undefined } | void>, work: WorkOptions): Promise<void> {
    if (this.#dispatch || this.#closed) throw new Error(`queue ${this.#options.name} is running or has run`);
    const done = Promise.withResolvers<void>();
    const settle = (): void => {
      if (work.signal.aborted && this.#processing.size === 0) done.resolve();
    };
    this.#dispatch = () => {
      for (const [key, readyMs] of this.#ready) {
        if (work.signal.aborted || this.#processing.size >= work.concurrency) break;
        this.#take(key, readyMs);
        void this.#handle(key, handle, work).finally(() => {
          this.#finish(key);
          this.#dispatch?.();
          settle();
        });
      }
    };
    const close = (): void => {
      this.#close();
      settle();
    };
    if (work.signal.aborted) close();
    else work.signal.addEventListener('abort', close, { once: true });
    this.#dispatch?.();
    return done.promise;
  }

  #take(key: string, readyMs: number): void {
    this.#ready.delete(key);
    this.#processing.add(key);
    const { clock, metrics, name } = this.#options;
    metrics?.queueWaitSeconds.observe({ queue: name }, (clock.now() - readyMs) / 1000);
    this.#reportDepth();
  }

  async #handle(
    key: string,
    handle: (key: string) => Promise<{ requeueAfterMs?: number | undefined } | void>,
    work: WorkOptions,
  ): Promise<void> {
    try {
      const result = await handle(key);
      this.#failures.delete(key);
      if (result?.requeueAfterMs !== undefined) this.addAfter(key, Math.max(1, result.requeueAfterMs));
    } catch (error) {
      const failures = (this.#failures.get(key) ?? 0) + 1;
      this.#failures.set(key, failures);
      this.#options.metrics?.queueRetries.inc({ queue: this.#options.name });
      work.onError(key, error, failures);
      this.addAfter(key, backoffMs(this.#backoff, failures, this.#options.random));
    }
  }

  #finish(key: string): void {
    this.#processing.delete(key);
    if (this.#dirty.delete(key)) this.add(key);
  }

  #close(): void {
    this.#closed = true;
    this.#dispatch = undefined;
    for (const { timer } of this.#delayed.values()) this.#options.clock.clearTimeout(timer);
    this.#delayed.clear();
    this.#ready.clear();
    this.#dirty.clear();
    this.#failures.clear();
    this.#reportDepth();
  }

  #cancelDelay(key: string): void {
    this.#options.clock.clearTimeout(this.#delayed.get(key)?.timer);
    this.#delayed.delete(key);
  }

  #reportDepth(): void {
    this.#options.metrics?.queueDepth.set({ queue: this.#options.name }, this.#ready.size);
  }
}
