import type { Logger } from '@millrace/service';
import { abortable } from './abortable.ts';
import type { KubeClient } from './client.ts';
import { ListWatch, type ListWatchTuning } from './list-watch.ts';
import type { KubeMetrics } from './metrics.ts';
import type { KubeObject } from './object.ts';
import type { Resource, Selection } from './resources.ts';
import { Store, type Change, type Indexer } from './store.ts';

export interface InformerOptions<T extends KubeObject> {
  client: KubeClient;
  resource: Resource<T>;
  /** Default: all objects of all namespaces. */
  selection?: Selection;
  indexers?: Record<string, Indexer<T>>;
  logger: Logger;
  metrics?: KubeMetrics | undefined;
  random?: () => number;
  tuning?: Partial<ListWatchTuning>;
}

/** A cache of one kind that a list-watch keeps up to date. It notifies its subscribers of changes. */
export class Informer<T extends KubeObject> {
  readonly resource: Resource<T>;
  readonly store: Store<T>;
  readonly #options: InformerOptions<T>;
  readonly #logger: Logger;
  readonly #subscribers = new Set<(change: Change<T>) => void>();
  readonly #listSubscribers = new Set<(number: number) => void>();
  readonly #synced = Promise.withResolvers<void>();
  #hasSynced = false;
  readonly #listWatch: ListWatch<T>;
  #running: Promise<void> | undefined;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.resource = options.resource;
    this.#logger = options.logger.child({ informer: options.resource.plural });
    this.store = new Store(options.indexers, (error, index, item) => {
      options.metrics?.handlerErrors.inc({ resource: options.resource.plural });
      this.#logger.error({ err: error, index, item }, 'indexer failed');
    });
    const { client, resource, selection, logger, random = Math.random, metrics, tuning } = options;
    this.#listWatch = new ListWatch<T>({
      client,
      resource,
      ...(selection ? { selection } : {}),
      onList: (items, _version, number) => {
        const changes = this.store.replace(items);
        this.#hasSynced = true;
        this.#synced.resolve();
        this.#publish(changes);
        for (const handler of this.#listSubscribers) handler(number);
      },
      onEvent: (type, object) => {
        this.#publish(this.store.apply(type, object));
      },
      logger,
      metrics,
      random,
      tuning,
    });
  }

  /** True once the first full list is in the store. It stays true while the API is unreachable: the store keeps its last state. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves once synced; rejects with the signal's reason when aborted first. */
  async whenSynced(signal?: AbortSignal): Promise<void> {
    if (this.#hasSynced) return;
    await (signal ? abortable(this.#synced.promise, signal) : this.#synced.promise);
  }

  /** Calls the handler for every object in the store, then for each change after the store has it. Returns a function that unsubscribes. */
  subscribe(handler: (change: Change<T>) => void): () => void {
    this.#subscribers.add(handler);
    for (const object of this.store.list()) this.#notify(handler, { type: 'added', object });
    return () => this.#subscribers.delete(handler);
  }

  /** The number of lists that have started. A list with a higher number reflects a state after now. */
  get listsBegun(): number {
    return this.#listWatch.listsBegun;
  }

  /** Calls the handler with the number of each completed list, after the changes found by it. Returns a function that unsubscribes. */
  subscribeToLists(handler: (number: number) => void): () => void {
    this.#listSubscribers.add(handler);
    return () => this.#listSubscribers.delete(handler);
  }

  /** Runs until the signal aborts; only that settles the promise. May be called once. */
  run(signal: AbortSignal): Promise<void> {
    if (this.#running) throw new Error(`informer of ${this.resource.plural} is already running`);
    this.#running = this.#listWatch.run(signal);
    return this.#running;
  }

  /**
   * Lists again, and resolves when the store is no older than this call: a watch may lag without noticing. Rejects with the signal's
   * reason if the signal aborts first.
   */
  async refresh(signal: AbortSignal): Promise<void> {
    await abortable(this.#listWatch.refresh(), signal);
  }

  #publish(changes: Change<T>[]): void {
    if (changes.length === 0) return;
    this.#options.metrics?.cachedObjects.set({ resource: this.resource.plural }, this.store.size);
    for (const change of changes) for (const handler of this.#subscribers) this.#notify(handler, change);
  }

  /** An exception of one subscriber is logged and counted, and does not affect the others. */
  #notify(handler: (change: Change<T>) => void, change: Change<T>): void {
    try {
      handler(change);
    } catch (error) {
      this.#options.metrics?.handlerErrors.inc({ resource: this.resource.plural });
      this.#logger.error({ err: error, item: change.object.metadata?.name, change: change.type }, 'subscriber failed');
    }
  }
}
