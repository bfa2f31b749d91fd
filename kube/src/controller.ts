import { realClock, type Clock, type Logger } from '@millrace/service';
import type { BackoffPolicy } from '@millrace/service';
import { isPassing, NotLeaderError } from './errors.ts';
import type { Fence } from './fence.ts';
import type { Informer } from './informer.ts';
import type { KubeMetrics } from './metrics.ts';
import type { KubeObject } from './object.ts';
import type { Change } from './store.ts';
import { WorkQueue } from './work-queue.ts';

export interface ReconcileContext {
  /** Aborts when the fence closes, or when a stop has waited long enough. Pass it to every request. */
  signal: AbortSignal;
  logger: Logger;
}

/** Brings one key to its wished state from what the caches show. Throwing means: again, later. */
export type Reconcile = (key: string, context: ReconcileContext) => Promise<{ requeueAfterMs?: number | undefined } | void>;

/** A kind whose changes concern the controller, and whom they concern. */
export interface Trigger {
  whenSynced(signal?: AbortSignal): Promise<void>;
  subscribe(enqueue: (key: string) => void): () => void;
}

/** Enqueues `mapToKeys` of what an object is, and of what it was. */
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
  /** Keys reconciled at the same time; default 4. */
  concurrency?: number;
  backoff?: BackoffPolicy;
  /** How long a stop waits for reconciliations under way before it aborts them; default 10 s. */
  drainMs?: number;
  clock?: Clock;
  random?: () => number;
  metrics?: KubeMetrics | undefined;
}

export interface Controller {
  readonly name: string;
  /** Looks at a key although no watch asked for it, e.g. on news from elsewhere. Without effect while it does not run. */
  enqueue(key: string): void;
  /** Waits for the caches, then reconciles until the signal aborts or the fence closes; settles when nothing is under way any more. */
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
  const stopping = new AbortController(); // takes up nothing new
  const aborting = new AbortController(); // gives up what is under way
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
          // A conflict, or an API that cannot be reached, passes by itself; everything else needs somebody.
          logger[isPassing(error) ? 'warn' : 'error']({ err: error, item: key, failures }, 'reconciliation failed');
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
    // The next leader looks at every key anyway.
    if (!(error instanceof NotLeaderError)) throw error;
    result = 'fenced';
  } finally {
    options.metrics?.reconcileSeconds.observe({ controller: options.name, result }, (clock.now() - startMs) / 1000);
  }
}
