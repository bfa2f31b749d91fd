import { controllerOf, objectKey, type KubeObject } from './object.ts';

/** What happened to one object of a cache. Objects are frozen: clone before changing one. */
export type Change<T> =
  | { type: 'added'; object: T }
  | { type: 'updated'; object: T; old: T }
  /** `object` is its last state known; when the watch missed the deletion, a state from before it. */
  | { type: 'deleted'; object: T };

/** Values under which an object is found; most give none or one. */
export type Indexer<T> = (object: T) => Iterable<string>;

/** By the value of a label. */
export function byLabel<T extends KubeObject>(label: string): Indexer<T> {
  return (object) => {
    const value = object.metadata?.labels?.[label];
    return value === undefined ? [] : [value];
  };
}

/** By the uid of the controlling owner. */
export function byOwner<T extends KubeObject>(object: T): Iterable<string> {
  const owner = controllerOf(object);
  return owner ? [owner.uid] : [];
}

/** The objects of one kind by namespace/name, and by indexes. It holds what the API said last, in the API's order. */
export class Store<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexers: Record<string, Indexer<T>>;
  /** index name → value → keys */
  readonly #indexes = new Map<string, Map<string, Set<string>>>();

  constructor(indexers: Record<string, Indexer<T>> = {}) {
    this.#indexers = indexers;
    for (const name of Object.keys(indexers)) this.#indexes.set(name, new Map());
  }

  get size(): number {
    return this.#objects.size;
  }

  /** By `namespace/name`, or `name` of a cluster-scoped object. */
  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  /** The objects for which the indexer gave this value. Throws when there is no such index. */
  byIndex(index: string, value: string): T[] {
    const keys = this.#index(index).get(value);
    return keys ? [...keys].map((key) => this.#objects.get(key)!) : [];
  }

  /** Takes an event of a watch; returns what it changed: nothing for a version already held or a deletion already known. */
  apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): Change<T>[] {
    return type === 'DELETED' ? this.#remove(object) : this.#put(object);
  }

  /** Takes a full list: what is not in it was deleted. A list is believed even where it looks older (a restored etcd). */
  replace(objects: T[]): Change<T>[] {
    const present = new Set(objects.map((object) => objectKey(object)));
    const gone = [...this.#objects].filter(([key]) => !present.has(key)).map(([, object]) => object);
    return [...gone.flatMap((object) => this.#remove(object)), ...objects.flatMap((object) => this.#put(object))];
  }

  #put(object: T): Change<T>[] {
    const key = objectKey(object);
    const old = this.#objects.get(key);
    if (old && sameVersion(old, object)) return [];
    if (old) this.#unindex(key, old);
    this.#objects.set(key, deepFreeze(object));
    this.#reindex(key, object);
    if (!old) return [{ type: 'added', object }];
    // Another object of the same name: its predecessor's end was not seen.
    if (old.metadata?.uid !== object.metadata?.uid)
      return [
        { type: 'deleted', object: old },
        { type: 'added', object },
      ];
    return [{ type: 'updated', object, old }];
  }

  #remove(object: T): Change<T>[] {
    const key = objectKey(object);
    const old = this.#objects.get(key);
    if (!old) return [];
    this.#unindex(key, old);
    this.#objects.delete(key);
    return [{ type: 'deleted', object: deepFreeze(object) }];
  }

  #reindex(key: string, object: T): void {
    for (const [name, values] of this.#indexes) {
      for (const value of this.#indexers[name]!(object)) {
        const keys = values.get(value) ?? new Set();
        values.set(value, keys.add(key));
      }
    }
  }

  #unindex(key: string, object: T): void {
    for (const [name, values] of this.#indexes) {
      for (const value of this.#indexers[name]!(object)) {
        const keys = values.get(value);
        keys?.delete(key);
        if (keys?.size === 0) values.delete(value);
      }
    }
  }

  #index(name: string): Map<string, Set<string>> {
    const index = this.#indexes.get(name);
    if (!index) throw new Error(`no index "${name}"; known: ${[...this.#indexes.keys()].join(', ') || 'none'}`);
    return index;
  }
}

function sameVersion(a: KubeObject, b: KubeObject): boolean {
  return a.metadata?.uid === b.metadata?.uid && a.metadata?.resourceVersion === b.metadata?.resourceVersion;
}

/** A cached object is shared by all who read it: changing it must fail, not corrupt the cache. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
  return value;
}
