import type { Clock, Logger } from '@millrace/service';
import { isNotFound, outcomeUnknown } from './errors.ts';
import type { Informer } from './informer.ts';
import type { KubeMetrics } from './metrics.ts';
import { objectKey, type KubeObject, type ObjectRef } from './object.ts';
import { compareResourceVersions } from './resource-version.ts';
import type { Change } from './store.ts';

interface Create<T> {
  owner: string;
  /** Undefined while the request is under way, or when its outcome is unknown. */
  object: T | undefined;
  expiresMs: number;
}

interface Delete {
  owner: string;
  expiresMs: number;
}

interface Update<T> {
  object: T;
  expiresMs: number;
}

/** The cache corrected by our own writes that it does not show yet. */
export interface View<T> {
  /** What exists: the cache, newer where we know newer, and what we created. */
  objects: T[];
  /** Names that we asked to create and of which we do not know whether they exist: count them, but do not use them. */
  uncertain: string[];
  /** True when the object is being deleted: it says so, or we asked for it. */
  isDeleting: (object: T) => boolean;
}

export interface PendingWritesOptions<T extends KubeObject> {
  informer: Informer<T>;
  clock: Clock;
  logger: Logger;
  /** After this long the cache is believed again; default 60 s. */
  timeoutMs?: number;
  metrics?: KubeMetrics | undefined;
}

/**
 * Own writes that the cache has not shown yet, so that a late watch never makes a controller create too many or delete twice (the
 * "expectations" of kube-controller-manager, with the objects themselves kept as Agones does). `owner` is any key that groups the
 * objects one reconciliation looks at. Names must be chosen by us, so that a create without answer can be recognized.
 */
export class PendingWrites<T extends KubeObject> {
  readonly #options: PendingWritesOptions<T>;
  readonly #timeoutMs: number;
  readonly #creates = new Map<string, Create<T>>();
  /** By uid. */
  readonly #deletes = new Map<string, Delete>();
  readonly #updates = new Map<string, Update<T>>();
  readonly #unsubscribe: () => void;

  constructor(options: PendingWritesOptions<T>) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 60_000;
    this.#unsubscribe = options.informer.subscribe((change) => {
      this.#observe(change);
    });
  }

  close(): void {
    this.#unsubscribe();
  }

  /** Creates by `send`. The entry stands before the request leaves: the watch may be faster than the answer. */
  async create(owner: string, ref: ObjectRef, send: () => Promise<T>): Promise<T> {
    const key = objectKey(ref);
    const entry: Create<T> = { owner, object: undefined, expiresMs: this.#expiry() };
    this.#creates.set(key, entry);
    try {
      const object = await send();
      entry.object = object;
      return object;
    } catch (error) {
      if (!outcomeUnknown(error) && this.#creates.get(key) === entry) this.#creates.delete(key);
      throw error;
    }
  }

  /** Deletes by `send`; that it is gone already is success. */
  async delete(owner: string, object: T, send: () => Promise<unknown>): Promise<void> {
    const uid = object.metadata?.uid ?? '';
    this.#deletes.set(uid, { owner, expiresMs: this.#expiry() });
    try {
      await send();
    } catch (error) {
      if (isNotFound(error)) return;
      if (!outcomeUnknown(error)) this.#deletes.delete(uid);
      throw error;
    }
  }

  /** Changes by `send`; its answer stands for the object until the cache has caught up. */
  async update(send: () => Promise<T>): Promise<T> {
    const object = await send();
    const key = objectKey(object);
    const cached = this.#options.informer.store.get(key);
    if (cached && !caughtUp(cached, object)) this.#updates.set(key, { object, expiresMs: this.#expiry() });
    return object;
  }

  /** `cached`: the owner's objects as the informer shows them. */
  view(owner: string, cached: T[]): View<T> {
    this.#expire();
    const known = new Set(cached.map((object) => object.metadata?.uid));
    const creates = [...this.#creates].filter(([, create]) => create.owner === owner);
    const created = creates.flatMap(([, { object }]) => (object && !known.has(object.metadata?.uid) ? [object] : []));
    const current = cached.map((object) => this.#updates.get(objectKey(object))?.object ?? object);
    return {
      objects: [...current, ...created],
      uncertain: creates.filter(([, create]) => create.object === undefined).map(([key]) => key),
      isDeleting: (object) => object.metadata?.deletionTimestamp !== undefined || this.#deletes.has(object.metadata?.uid ?? ''),
    };
  }

  /**
   * When the owner's oldest entry expires: what a reconciliation returns, after its writes, as requeueAfterMs, because the cache may
   * never show them (created and deleted between two lists). Undefined when nothing is pending.
   */
  recheckAfterMs(owner: string): number | undefined {
    this.#expire();
    const entries = [...this.#creates.values(), ...this.#deletes.values()].filter((entry) => entry.owner === owner);
    if (entries.length === 0) return undefined;
    return Math.max(1, Math.min(...entries.map((entry) => entry.expiresMs)) - this.#options.clock.now());
  }

  #observe(change: Change<T>): void {
    const { object } = change;
    const key = objectKey(object);
    const uid = object.metadata?.uid ?? '';
    const create = this.#creates.get(key);
    // A create under way has no uid yet: what appears under the name it chose is taken for it, what disappears is not.
    if (create && (create.object ? create.object.metadata?.uid === uid : change.type !== 'deleted')) this.#creates.delete(key);
    if (change.type === 'deleted' || object.metadata?.deletionTimestamp !== undefined) this.#deletes.delete(uid);
    const update = this.#updates.get(key);
    if (update && (change.type === 'deleted' || caughtUp(object, update.object))) this.#updates.delete(key);
  }

  #expire(): void {
    const now = this.#options.clock.now();
    for (const entries of [this.#creates, this.#deletes, this.#updates] as Map<string, { expiresMs: number }>[]) {
      for (const [key, { expiresMs }] of entries) {
        if (expiresMs > now) continue;
        entries.delete(key);
        const resource = this.#options.informer.resource.plural;
        this.#options.metrics?.pendingWritesExpired.inc({ resource });
        this.#options.logger.warn(
          { resource, item: key },
          'own write not seen in the cache in time; the cache is believed again',
        );
      }
    }
  }

  #expiry(): number {
    return this.#options.clock.now() + this.#timeoutMs;
  }
}

/** True when the cache shows our version, a later one, or another object of the name. */
function caughtUp(cached: KubeObject, ours: KubeObject): boolean {
  if (cached.metadata?.uid !== ours.metadata?.uid) return true;
  const order = compareResourceVersions(cached.metadata?.resourceVersion ?? '', ours.metadata?.resourceVersion ?? '');
  return order !== undefined && order >= 0;
}
