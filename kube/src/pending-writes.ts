import type { Clock, Logger } from '@millrace/service';
import type { KubeClient } from './client.ts';
import { isNotFound, outcomeUnknown } from './errors.ts';
import type { Informer } from './informer.ts';
import type { KubeMetrics } from './metrics.ts';
import { OwnedEntries } from './owned-entries.ts';
import { objectKey, parseKey, refOf, type KubeObject, type ObjectRef } from './object.ts';
import { compareResourceVersions } from './resource-version.ts';
import type { Change } from './store.ts';

interface Entry {
  owner: string;
  expiresMs: number;
  /** The number of lists started when the answer arrived; any later list supersedes this entry. Infinity while the outcome is unknown. */
  answeredAfterList: number;
}

interface Create<T> extends Entry {
  /** Undefined while the request is in flight, or when its outcome is unknown. */
  object: T | undefined;
}

interface Delete extends Entry {
  ref: ObjectRef;
}

interface Update<T> extends Entry {
  object: T;
}

/** The cache, corrected by our own writes that it does not contain yet. */
export interface View<T> {
  /** The cached objects, replaced by newer states where known, and the objects that we created. */
  objects: T[];
  /** Names of creates with an unknown outcome. Count them as existing, but do not use them. */
  uncertain: string[];
  /** True when the object has a deletionTimestamp or we have requested its deletion. */
  isDeleting: (object: T) => boolean;
}

export interface PendingWritesOptions<T extends KubeObject> {
  informer: Informer<T>;
  /** Reads the objects of writes that do not appear in the cache in time. */
  client: KubeClient;
  clock: Clock;
  logger: Logger;
  /** How long a write may be missing from the cache before the API is read; default 60 s. */
  timeoutMs?: number;
  metrics?: KubeMetrics | undefined;
}

/**
 * Own writes that the cache does not contain yet, so that a lagging watch never makes a controller create too many objects or delete one
 * twice. This is the idea of kube-controller-manager's "expectations", but keeps the objects themselves, as Agones does. `owner` is any
 * key that groups the objects of one reconciliation. The caller must choose the names of new objects, so that a create without an answer
 * can be recognized. A timeout proves nothing, because a watch may lag for longer: `verify` reads overdue objects from the API. Versions
 * prove nothing either, because an API restored from a backup may have lost a write and has lower versions: any list that started after
 * the answer ends the wait.
 */
export class PendingWrites<T extends KubeObject> {
  readonly #options: PendingWritesOptions<T>;
  readonly #timeoutMs: number;
  readonly #creates = new OwnedEntries<Create<T>>();
  /** By uid. */
  readonly #deletes = new OwnedEntries<Delete>();
  readonly #updates = new OwnedEntries<Update<T>>();
  readonly #unsubscribe: (() => void)[];

  constructor(options: PendingWritesOptions<T>) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 60_000;
    const { informer } = options;
    this.#unsubscribe = [
      informer.subscribe((change) => this.#observe(change)),
      informer.subscribeToLists((number) => this.#observeList(number)),
    ];
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  /** Creates an object by `send`. The entry is added first, because the watch event may arrive before the answer. */
  async create(owner: string, ref: ObjectRef, send: () => Promise<T>): Promise<T> {
    const key = objectKey(ref);
    const entry: Create<T> = { owner, object: undefined, ...this.#unanswered() };
    this.#creates.set(key, entry);
    try {
      const object = await send();
      Object.assign(entry, { object, ...this.#answered() });
      return object;
    } catch (error) {
      if (!outcomeUnknown(error) && this.#creates.get(key) === entry) this.#creates.delete(key);
      throw error;
    }
  }

  /** Deletes an object by `send`. Not found counts as success. */
  async delete(owner: string, object: T, send: () => Promise<unknown>): Promise<void> {
    const uid = object.metadata?.uid ?? '';
    const entry: Delete = { owner, ref: refOf(object), ...this.#unanswered() };
    this.#deletes.set(uid, entry);
    try {
      await send();
    } catch (error) {
      if (!isNotFound(error)) {
        if (!outcomeUnknown(error)) this.#deletes.delete(uid);
        throw error;
      }
    }
    Object.assign(entry, this.#answered());
  }

  /** Changes an object by `send`. Its answer replaces the cached object in views until the cache has caught up. */
  async update(owner: string, send: () => Promise<T>): Promise<T> {
    const object = await send();
    this.learn(owner, object);
    return object;
  }

  /** Records an object just read from the API. It replaces the cached object in views until the cache has caught up. */
  learn(owner: string, object: T): void {
    const key = objectKey(object);
    const cached = this.#options.informer.store.get(key);
    if (!cached || caughtUp(cached, object) || this.#updates.get(key)?.object === object) return;
    this.#updates.set(key, { owner, object, ...this.#answered() });
  }

  /** Reads from the API the objects of overdue writes. Call it before `view`. Throws KubeError. */
  async verify(owner: string, signal: AbortSignal): Promise<void> {
    const now = this.#options.clock.now();
    const isOverdue = (entry: Entry): boolean => entry.expiresMs <= now;
    for (const [key, entry] of this.#creates.of(owner)) if (isOverdue(entry)) await this.#verifyCreate(key, entry, signal);
    for (const [uid, entry] of this.#deletes.of(owner)) if (isOverdue(entry)) await this.#verifyDelete(uid, entry, signal);
    for (const [key, entry] of this.#updates.of(owner)) if (isOverdue(entry)) await this.#verifyUpdate(key, entry, signal);
  }

  /** Returns the owner's objects, given those in the informer's store. */
  view(owner: string, cached: T[]): View<T> {
    const known = new Set(cached.map((object) => object.metadata?.uid));
    const creates = this.#creates.of(owner);
    const created = creates.flatMap(([, { object }]) => (object && !known.has(object.metadata?.uid) ? [object] : []));
    const current = cached.map((object) => this.#updates.get(objectKey(object))?.object ?? object);
    return {
      objects: [...current, ...created],
      uncertain: creates.filter(([, create]) => create.object === undefined).map(([key]) => key),
      isDeleting: (object) => object.metadata?.deletionTimestamp !== undefined || this.#deletes.has(object.metadata?.uid ?? ''),
    };
  }

  /**
   * The time until the owner's oldest entry is overdue, in ms; undefined when nothing is pending. A reconciliation returns it after its
   * writes as requeueAfterMs, because they may never appear in the cache (created and deleted between two lists).
   */
  recheckAfterMs(owner: string): number | undefined {
    const all: OwnedEntries<Entry>[] = [this.#creates, this.#deletes, this.#updates];
    const times = all.flatMap((entries) => entries.of(owner).map(([, { expiresMs }]) => expiresMs));
    return times.length === 0 ? undefined : Math.max(1, Math.min(...times) - this.#options.clock.now());
  }

  #observe(change: Change<T>): void {
    const { object } = change;
    const key = objectKey(object);
    const uid = object.metadata?.uid ?? '';
    const create = this.#creates.get(key);
    // A create in flight has no uid yet: an object that appears under its name is taken to be its result.
    if (create && (create.object ? create.object.metadata?.uid === uid : change.type !== 'deleted')) this.#creates.delete(key);
    if (change.type === 'deleted' || object.metadata?.deletionTimestamp !== undefined) this.#deletes.delete(uid);
    const update = this.#updates.get(key);
    if (update && (change.type === 'deleted' || caughtUp(object, update.object))) this.#updates.delete(key);
  }

  #observeList(number: number): void {
    for (const entries of [this.#creates, this.#deletes, this.#updates] as OwnedEntries<Entry>[])
      for (const [key, { answeredAfterList }] of entries) if (answeredAfterList < number) entries.delete(key);
  }

  async #verifyCreate(key: string, entry: Create<T>, signal: AbortSignal): Promise<void> {
    const found = await this.#ask(key, parseKey(key), signal);
    if (this.#creates.get(key) !== entry) return; // the watch event arrived before the answer
    if (!found) this.#creates.delete(key);
    else this.#creates.set(key, { ...entry, object: found, ...this.#answered() });
  }

  async #verifyDelete(uid: string, entry: Delete, signal: AbortSignal): Promise<void> {
    const found = await this.#ask(objectKey(entry.ref), entry.ref, signal);
    const isAlive = found?.metadata?.uid === uid && found.metadata.deletionTimestamp === undefined;
    const isCached = this.#options.informer.store.get(objectKey(entry.ref))?.metadata?.uid === uid;
    if (isAlive || !isCached) this.#deletes.delete(uid);
    else this.#deletes.set(uid, { ...entry, ...this.#answered() });
  }

  async #verifyUpdate(key: string, entry: Update<T>, signal: AbortSignal): Promise<void> {
    const found = await this.#ask(key, refOf(entry.object), signal);
    if (this.#updates.get(key) !== entry) return;
    this.#updates.delete(key);
    if (found) this.learn(entry.owner, found);
  }

  async #ask(item: string, ref: ObjectRef, signal: AbortSignal): Promise<T | undefined> {
    const { client, informer, logger, metrics } = this.#options;
    const resource = informer.resource.plural;
    metrics?.pendingWritesExpired.inc({ resource });
    logger.warn({ resource, item }, 'own write did not appear in the cache in time; reading the API');
    return await client.find(informer.resource, ref, { signal });
  }

  #unanswered(): Omit<Entry, 'owner'> {
    return { expiresMs: this.#options.clock.now() + this.#timeoutMs, answeredAfterList: Infinity };
  }

  #answered(): Omit<Entry, 'owner'> {
    return { ...this.#unanswered(), answeredAfterList: this.#options.informer.listsBegun };
  }
}

/** True when the cache holds our version, a later one, or another object of the same name. */
function caughtUp(cached: KubeObject, ours: KubeObject): boolean {
  if (cached.metadata?.uid !== ours.metadata?.uid) return true;
  const order = compareResourceVersions(cached.metadata?.resourceVersion ?? '', ours.metadata?.resourceVersion ?? '');
  return order !== undefined && order >= 0;
}
