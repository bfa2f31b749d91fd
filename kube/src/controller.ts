import { realClock, type Clock, type Logger } from '@millrace/service';
import type { BackoffPolicy } from '@millrace/service';
import { isTransient, NotLeaderError } from './errors.ts';
import type { Fence } from './fence.ts';
import type { Informer } from './informer.ts';
import type { KubeMetrics } from './metrics.ts';
import type { KubeObject } from './object.ts';
import type { Change } from './store.ts';
import { WorkQueue } from './work-queue.ts';

export interface ReconcileContext {
  /** Aborts when the fence closes, or `drainMs` after a stop. Pass it to every request. */
  signal: AbortSignal;
  logger: Logger;
}

/** Brings the object of one key to its desired state, as the caches show it. If it throws, the key is retried with back-off. */
export type Reconcile = (key: string, context: ReconcileContext) => Promise<{ requeueAfterMs?: number | undefined } | void>;

/** An informer whose changes enqueue keys of the controller. */
export interface Trigger {
  whenSynced(signal?: AbortSignal): Promise<void>;
  subscribe(enqueue: (key: string) => void): () => void;
}

/** Enqueues `mapToKeys` of the new and of the old state of each object that changes. */
export function trigger<T extends KubeObject>(
  informer: Informer<T>,
  mapToKeys: (object: T, change: Change<T>) => Iterable<string>,
): Trigger {
  return {
    whenSynced: (signal) => informer.whenSynced(signal),
    subscribe: (enqueue) =>
      informer.subscribe((change) => {
        const keys = new Set(mapToKeys(change.object, change));
        if (change.type === 'updated') for (const key of mapToKeys(change.old, change)) keys.add(key);
        for (const key of keys) enqueue(key);
      }),
  };
}

export interface ControllerOptions {
  name: string;
  reconcile: Reconcile;
  watches: Trigger[];
  logger: Logger;
  /** Stops the controller when it closes. */
  fence?: Fence | undefined;
  /** The maximum number of keys reconciled concurrently; default 4. */
  concurrency?: number;
  backoff?: BackoffPolicy;
  /** How long a stop waits for running reconciliations before it aborts them; default 10 s. */
  drainMs?: number;
  clock?: Clock;
  random?: () => number;
  metrics?: KubeMetrics | undefined;
}

export interface Controller {
  readonly name: string;
  /** Enqueues a key for a reason other than a watch event. Does nothing while the controller does not run. */
  enqueue(key: string): void;
  /** Waits for the caches, then reconciles until the signal aborts or the fence closes. Settles when no reconciliation runs any more. */
  run(signal: AbortSignal): Promise<void>;
}

export function createController(options: ControllerOptions): Controller {
  let queue: WorkQueue | undefined;
  return {
    name: options.name,
    enqueue: (key) => queue?.add(key),
    run: async (signal) => {
      const { clock = realClock, random = Math.random, backoff, metrics } = options;
      const own = new WorkQueue({ name: options.name, clock, random, backoff, metrics });
      queue = own;
      try {
        await runQueue(options, own, clock, signal);
      } finally {
        if (queue === own) queue = undefined;
      }
    },
  };
}

async function runQueue(options: ControllerOptions, queue: WorkQueue, clock: Clock, stop: AbortSignal): Promise<void> {
  const { name, fence, watches, concurrency = 4, drainMs = 10_000 } = options;
  const logger = options.logger.child({ controller: name });
  const stopping = new AbortController(); // starts no further reconciliations
  const aborting = new AbortController(); // aborts running reconciliations
  let drainTimer: ReturnType<Clock['setTimeout']> | undefined;
  const onStop = (): void => {
    stopping.abort(stop.reason);
    drainTimer = clock.setTimeout(() => aborting.abort(stop.reason), drainMs);
  };
  const onFenceClosed = (): void => {
    stopping.abort(fence?.signal.reason);
    aborting.abort(fence?.signal.reason);
  };
  stop.addEventListener('abort', onStop, { once: true });
  fence?.signal.addEventListener('abort', onFenceClosed, { once: true });
  if (stop.aborted) onStop();
  if (fence?.signal.aborted) onFenceClosed();
  const leave = watches.map((watch) =>
    watch.subscribe((key) => {
      queue.add(key);
    }),
  );
  try {
    const synced = await Promise.all(watches.map((watch) => watch.whenSynced(stopping.signal))).then(
      () => true,
      (error: unknown) => {
        if (!stopping.signal.aborted) throw error;
        return false;
      },
    );
    if (!synced) return;
    logger.info('started');
    await queue.run(
      (key) => reconcileOnce(options, clock, key, { signal: aborting.signal, logger: logger.child({ item: key }) }),
      {
        concurrency,
        signal: stopping.signal,
        onError: (key, error, failures) => {
          // A conflict or an unreachable API resolves itself; any other failure needs attention.
          logger[isTransient(error) ? 'warn' : 'error']({ err: error, item: key, failures }, 'reconciliation failed');
        },
      },
    );
    logger.info('stopped');
  } finally {
    for (const unsubscribe of leave) unsubscribe();
    clock.clearTimeout(drainTimer);
    stop.removeEventListener('abort', onStop);
    fence?.signal.removeEventListener('abort', onFenceClosed);
  }
}

async function reconcileOnce(
  options: ControllerOptions,
  clock: Clock,
  key: string,
  context: ReconcileContext,
): Promise<{ requeueAfterMs?: number | undefined } | void> {
  const startMs = clock.now();
  let result = 'failed';
  try {
    options.fence?.assertOpen();
    const outcome = await options.reconcile(key, context);
    result = outcome?.requeueAfterMs === undefined ? 'done' : 'requeued';
    return outcome;
  } catch (error) {
    // The next leader reconciles every key.
    if (!(error instanceof NotLeaderError)) throw error;
    result = 'fenced';
  } finally {
    options.metrics?.reconcileSeconds.observe({ controller: options.name, result }, (clock.now() - startMs) / 1000);
  }
}
