import { isDeepStrictEqual } from 'node:util';
import type { ManagedFieldsEntry, OwnerReference } from './wire.ts';
import { applyFields, ownersAfterUpdate } from './field-ownership.ts';
import { isWithin, parsePath, type ObjectPath } from './paths.ts';

/** A stored object. It is immutable: a write replaces it. */
export interface Stored {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name: string;
    namespace?: string;
    uid: string;
    resourceVersion: string;
    generation?: number;
    labels?: Record<string, string>;
    finalizers?: string[];
    ownerReferences?: OwnerReference[];
    creationTimestamp?: string;
    deletionTimestamp?: string;
    managedFields?: ManagedFieldsEntry[];
    [field: string]: unknown;
  };
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
  [field: string]: unknown;
}

export interface StoreEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  version: number;
  path: string;
  where: ObjectPath;
  object: Stored;
  previous: Stored | undefined;
  /** The name of the connection that wrote; '' for a write outside any connection. */
  by: string;
}

/** A copy of the whole state, for `restore`. */
export interface Snapshot {
  readonly version: number;
  readonly objects: ReadonlyMap<string, Stored>;
}

export type Scope = 'all' | 'main' | 'status';

/** Objects and their history with one revision counter, as in etcd and kube-apiserver's generic registry. */
export class ObjectStore {
  readonly objects = new Map<string, Stored>();
  readonly #history: StoreEvent[] = [];
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  readonly #wall: (() => number) | undefined;
  #version = 100;
  #compactedTo = 0;
  #uids = 0;

  /** Without a wall clock, timestamps are version numbers. */
  constructor(wall?: () => number) {
    this.#wall = wall;
  }

  get version(): number {
    return this.#version;
  }

  /** Watches and continue tokens of earlier versions get 410. */
  get compactedTo(): number {
    return this.#compactedTo;
  }

  subscribe(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  list(collection: string): [string, Stored][] {
    return [...this.objects].filter(([path]) => isWithin(parsePath(path), collection));
  }

  eventsAfter(version: number, collection: string): StoreEvent[] {
    return this.#history.filter((event) => event.version > version && isWithin(event.where, collection));
  }

  /** Compacts the history. */
  compact(): void {
    this.#compactedTo = this.#version;
    this.#history.length = 0;
  }

  snapshot(): Snapshot {
    return { version: this.#version, objects: new Map(this.objects) };
  }

  /** Restores an earlier state and version counter, as an etcd restored from a backup. Notifies no listener. */
  restore(snapshot: Snapshot): void {
    this.objects.clear();
    for (const [path, object] of snapshot.objects) this.objects.set(path, object);
    this.#version = snapshot.version;
    this.compact();
  }

  /** Creates or replaces an object and returns it. Scope `main` keeps its status; scope `status` changes only its status. */
  write(path: string, change: object, scope: Scope = 'all', by = ''): Stored {
    const old = this.objects.get(path);
    const given = change as Partial<Stored>;
    const body = old ? scoped(old, given, scope) : given;
    const metadata = this.#metadata(path, body, old);
    const object: Stored = { ...body, metadata };
    const owners = old && ownersAfterUpdate(old, object);
    if (owners) metadata.managedFields = owners;
    if (old && isDeepStrictEqual(withoutVersion(old), withoutVersion(object))) return old;
    return this.#commit(path, object, old, by);
  }

  /** Server-side apply with force. Returns the stored object, unchanged if the apply has no effect. */
  apply(path: string, body: Stored, manager: string, subresource: string, by = ''): Stored {
    const old = this.objects.get(path);
    const { apiVersion, kind } = body;
    const time = this.#wall ? rfc3339(this.#wall()) : `${this.#version + 1}`;
    const blank: Stored = {
      ...(apiVersion ? { apiVersion } : {}),
      ...(kind ? { kind } : {}),
      metadata: this.#metadata(path, {}, undefined),
    };
    const next = applyFields<Stored>(old ?? blank, body, manager, subresource, time);
    if (next === old) return old;
    if (old) next.metadata.generation = this.#generation(next, old);
    return this.#commit(path, next, old, by);
  }

  /**
   * Deletes an object. With finalizers or a grace period it stays, with a deletionTimestamp. Returns undefined when it was removed.
   */
  delete(path: string, graceSeconds = 0, by = ''): Stored | undefined {
    const old = this.objects.get(path);
    if (!old) return undefined;
    const { metadata } = old;
    const held = (metadata.finalizers?.length ?? 0) > 0 || graceSeconds > 0;
    if (!held) return this.remove(path, by);
    if (metadata.deletionTimestamp) return old;
    const deletionTimestamp = this.#wall ? rfc3339(this.#wall() + graceSeconds * 1000) : '2030-01-01T00:00:00Z';
    const generation = metadata.generation === undefined ? {} : { generation: metadata.generation + 1 };
    return this.#commit(path, { ...old, metadata: { ...metadata, ...generation, deletionTimestamp } }, old, by);
  }

  /** Removes an object at once. */
  remove(path: string, by = ''): undefined {
    const old = this.objects.get(path);
    if (!old) return;
    this.objects.delete(path);
    const version = ++this.#version;
    const object = { ...old, metadata: { ...old.metadata, resourceVersion: `${version}` } };
    this.#emit({ type: 'DELETED', version, path, where: parsePath(path), object, previous: old, by });
  }

  #commit(path: string, object: Stored, old: Stored | undefined, by: string): Stored {
    const version = ++this.#version;
    object.metadata.resourceVersion = `${version}`;
    if (object.metadata.deletionTimestamp && !object.metadata.finalizers?.length && old?.metadata.finalizers?.length) {
      this.objects.delete(path);
      this.#emit({ type: 'DELETED', version, path, where: parsePath(path), object, previous: old, by });
      return object;
    }
    this.objects.set(path, object);
    this.#emit({ type: old ? 'MODIFIED' : 'ADDED', version, path, where: parsePath(path), object, previous: old, by });
    return object;
  }

  #metadata(path: string, body: Partial<Stored>, old: Stored | undefined): Stored['metadata'] {
    const { name, namespace } = parsePath(path);
    const { deletionTimestamp } = old?.metadata ?? body.metadata ?? {};
    const metadata: Stored['metadata'] = {
      ...body.metadata,
      name,
      ...(namespace ? { namespace } : {}),
      uid: old?.metadata.uid ?? `uid-${++this.#uids}`,
      resourceVersion: old?.metadata.resourceVersion ?? '',
      ...(this.#wall ? { creationTimestamp: old?.metadata.creationTimestamp ?? rfc3339(this.#wall()) } : {}),
      ...((deletionTimestamp ?? body.metadata?.deletionTimestamp)
        ? { deletionTimestamp: deletionTimestamp ?? body.metadata?.deletionTimestamp }
        : {}),
    };
    if (old?.metadata.generation !== undefined || this.#wall) metadata.generation = this.#generation({ ...body, metadata }, old);
    return metadata;
  }

  /** Increments on every change outside metadata and status, as for CRDs with the status subresource. */
  #generation(next: Stored, old: Stored | undefined): number {
    const before = old?.metadata.generation ?? 0;
    return old && isDeepStrictEqual(desired(old), desired(next)) ? before : before + 1;
  }

  #emit(event: StoreEvent): void {
    this.#history.push(event);
    for (const listener of this.#listeners) listener(event);
  }
}

function scoped(old: Stored, change: Partial<Stored>, scope: Scope): Partial<Stored> {
  const { status, ...main } = change;
  if (scope === 'all') return change;
  if (scope === 'status') {
    const { status: _, ...rest } = old;
    return status === undefined ? rest : { ...rest, status };
  }
  return old.status === undefined ? main : { ...main, status: old.status };
}

function desired({ metadata: _, status: __, ...rest }: Stored): object {
  return rest;
}

function withoutVersion({ metadata: { resourceVersion: _, ...metadata }, ...rest }: Stored): object {
  return { ...rest, metadata };
}

export function rfc3339(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}

/** The deletion grace period, in seconds: a pod on a host stays until its kubelet has terminated it. */
export function graceOf({ kind, spec, status }: Stored): number {
  const isRunning = kind === 'Pod' && spec?.['nodeName'] !== undefined;
  const isOver = status?.['phase'] === 'Failed' || status?.['phase'] === 'Succeeded';
  return isRunning && !isOver ? Number(spec['terminationGracePeriodSeconds'] ?? 30) : 0;
}
