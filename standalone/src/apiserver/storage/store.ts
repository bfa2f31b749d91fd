import { EventEmitter } from 'node:events';
import type { KubeObject } from '../object.ts';
import { storageFull } from '../status.ts';
import type { Change } from './database.ts';
import { Database } from './database.ts';
import { History } from './history.ts';
import type { HistoryLimits, StoreEvent } from './history.ts';

export type { StoreEvent };

interface PendingWrite extends Change {
  object: KubeObject | undefined;
  previous: KubeObject | undefined;
  resolve: (object: KubeObject) => void;
  reject: (error: unknown) => void;
}
const idOf = (namespace: string, name: string) => `${namespace}/${name}`;

/** The key that identifies and orders the objects of a resource. */
export const objectId = ({ metadata }: KubeObject): string => idOf(metadata.namespace ?? '', metadata.name);

/**
 * All objects, in memory, with one revision counter; every write is on disk before it is visible or acknowledged.
 * Writes of one turn of the event loop share one commit. `latest` sees writes that wait for their commit, so that
 * read-modify-write without an await in between is atomic; everything else sees committed state only.
 */
export class Store {
  readonly #db: Database;
  readonly #committed = new Map<string, Map<string, KubeObject>>();
  readonly #sorted = new Map<string, KubeObject[]>();
  readonly #overlay = new Map<string, KubeObject | undefined>();
  readonly #events = new EventEmitter();
  readonly #history: History;
  #pending: PendingWrite[] = [];
  #revision: number;
  #nextRevision: number;

  /** `history` bounds the changes kept for watches that resume. */
  constructor(file: string, opts: { history?: Partial<HistoryLimits>; wall?: () => number } = {}) {
    this.#db = new Database(file);
    this.#events.setMaxListeners(0);
    this.#revision = this.#nextRevision = this.#db.revision();
    this.#history = new History(this.#revision, opts.wall ?? Date.now, opts.history);
    for (const { resource, object } of this.#db.objects()) this.#set(resource, object);
  }

  /** The newest committed revision. */
  get revision(): number {
    return this.#revision;
  }

  get(resource: string, namespace: string, name: string): KubeObject | undefined {
    return this.#committed.get(resource)?.get(idOf(namespace, name));
  }

  /** Like `get`, but includes writes that are not on disk yet: the base for the next write. */
  latest(resource: string, namespace: string, name: string): KubeObject | undefined {
    const key = `${resource}/${idOf(namespace, name)}`;
    return this.#overlay.has(key) ? this.#overlay.get(key) : this.get(resource, namespace, name);
  }

  /** Committed objects of a resource ordered by namespace and name. The array is a snapshot: it never changes. */
  list(resource: string): readonly KubeObject[] {
    let list = this.#sorted.get(resource);
    if (!list) {
      list = inOrder(this.#committed.get(resource) ?? new Map());
      this.#sorted.set(resource, list);
    }
    return list;
  }

  /** The same at an earlier revision, computed by reverting later changes. Throws 410 when the history does not reach back that far. */
  listAt(resource: string, revision: number): readonly KubeObject[] {
    const since = this.eventsSince(resource, revision);
    if (since.length === 0) return this.list(resource);
    const objects = new Map(this.#committed.get(resource));
    for (const { object, previous } of since.reverse()) {
      if (previous) objects.set(objectId(previous), previous);
      else objects.delete(objectId(object));
    }
    return inOrder(objects);
  }

  /** Stores the object under a new resourceVersion; resolves with it once it is on disk. Rejects with 507 when it cannot be. */
  put(resource: string, object: KubeObject): Promise<KubeObject> {
    const revision = ++this.#nextRevision;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
    return this.#enqueue(resource, stored, revision, stored);
  }

  /** Removes the object; resolves with its last state (under the revision of its removal) once that is on disk. */
  remove(resource: string, object: KubeObject): Promise<KubeObject> {
    return this.#enqueue(resource, object, ++this.#nextRevision, undefined);
  }

  #enqueue(resource: string, about: KubeObject, revision: number, object: KubeObject | undefined): Promise<KubeObject> {
    const { namespace = '', name } = about.metadata;
    const previous = this.latest(resource, namespace, name);
    this.#overlay.set(`${resource}/${idOf(namespace, name)}`, object);
    return new Promise((resolve, reject) => {
      const text = object && JSON.stringify(object);
      this.#pending.push({ resource, namespace, name, revision, object, text, previous, resolve, reject });
      if (this.#pending.length === 1) setImmediate(() => this.flush());
    });
  }

  /** Commits pending writes now instead of at the end of this turn. */
  flush(): void {
    const batch = this.#pending;
    if (batch.length === 0) return;
    this.#pending = [];
    this.#overlay.clear();
    try {
      this.#db.commit(batch);
    } catch {
      for (const write of batch) write.reject(storageFull());
      return;
    }
    for (const write of batch) this.#publish(write);
  }

  #publish({ resource, namespace, name, revision, object, text, previous, resolve }: PendingWrite): void {
    const type = !object ? 'DELETED' : previous ? 'MODIFIED' : 'ADDED';
    const shown = object ?? (previous && { ...previous, metadata: { ...previous.metadata, resourceVersion: String(revision) } });
    if (object) this.#set(resource, object);
    else {
      this.#committed.get(resource)?.delete(idOf(namespace, name));
      this.#sorted.delete(resource);
    }
    this.#revision = revision;
    if (!shown) return;
    const event: StoreEvent = { type, revision, resource, object: shown, previous };
    this.#history.add(event, text?.length ?? 0);
    resolve(shown);
    this.#events.emit('event', event);
  }

  #set(resource: string, object: KubeObject): void {
    let objects = this.#committed.get(resource);
    if (!objects) this.#committed.set(resource, (objects = new Map<string, KubeObject>()));
    objects.set(objectId(object), object);
    this.#sorted.delete(resource);
  }

  /** Events of a resource after `revision`, oldest first. Throws 410 when the history does not reach back that far. */
  eventsSince(resource: string, revision: number): StoreEvent[] {
    return this.#history.since(resource, revision);
  }

  /** Calls back for every committed change, in order. Returns a function that ends this. */
  subscribe(listener: (event: StoreEvent) => void): () => void {
    this.#events.on('event', listener);
    return () => this.#events.off('event', listener);
  }

  close(): void {
    this.flush();
    this.#db.close();
  }
}

function inOrder(objects: ReadonlyMap<string, KubeObject>): KubeObject[] {
  return [...objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
}
