import { isDeepStrictEqual } from 'node:util';
import { controllerOf, objectKey, type KubeObject } from './object.ts';

/** A change to one cached object. Objects are frozen: clone one before you change it. */
export type Change<T> =
  | { type: 'added'; object: T }
  | { type: 'updated'; object: T; old: T }
  /** `object` is the last known state, which may be outdated when the watch missed the deletion. */
  | { type: 'deleted'; object: T };

/** Returns the index values of an object; usually none or one. */
export type Indexer<T> = (object: T) => Iterable<string>;

/** Indexes objects by the value of a label. */
export function byLabel<T extends KubeObject>(label: string): Indexer<T> {
  return (object) => {
    const value = object.metadata?.labels?.[label];
    return value === undefined ? [] : [value];
  };
}

/** Indexes objects by the uid of their controller. */
export function byOwner<T extends KubeObject>(object: T): Iterable<string> {
  const owner = controllerOf(object);
  return owner ? [owner.uid] : [];
}

/** The objects of one kind by namespace/name and by indexes, as last received from the API. */
export class Store<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexers: Record<string, Indexer<T>>;
  readonly #onIndexerError: (error: unknown, index: string, key: string) => void;
  /** index name → value → keys */
  readonly #indexes = new Map<string, Map<string, Set<string>>>();
  /** key → index name → values under which the object was indexed; the indexers might return others now. */
  readonly #indexed = new Map<string, Map<string, string[]>>();

  /** If an indexer throws for an object, the store holds the object without that index and calls `onIndexerError`. */
  constructor(
    indexers: Record<string, Indexer<T>> = {},
    onIndexerError: (error: unknown, index: string, key: string) => void = () => undefined,
  ) {
    this.#indexers = indexers;
    this.#onIndexerError = onIndexerError;
    for (const name of Object.keys(indexers)) this.#indexes.set(name, new Map());
  }

  get size(): number {
    return this.#objects.size;
  }

  /** Returns the object with the key `namespace/name`, or `name` if it is cluster-scoped. */
  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  /** Returns the objects for which the indexer returned this value. Throws when the index does not exist. */
  byIndex(index: string, value: string): T[] {
    const keys = this.#index(index).get(value);
    return keys ? [...keys].map((key) => this.#objects.get(key)!) : [];
  }

  /** Applies a watch event and returns the changes: none for a version that the store holds or a deletion that it knows. */
  apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): Change<T>[] {
    return type === 'DELETED' ? this.#remove(object) : this.#put(object);
  }

  /**
   * Replaces the content with a full list and returns the changes. The list wins even if its versions are older, or if a known version
   * has different content: an etcd restored from a backup reuses version numbers.
   */
  replace(objects: T[]): Change<T>[] {
    const present = new Set(objects.map((object) => objectKey(object)));
    const gone = [...this.#objects].filter(([key]) => !present.has(key)).map(([, object]) => object);
    return [
      ...gone.flatMap((object) => this.#remove(object)),
      ...objects.flatMap((object) => this.#put(object, isDeepStrictEqual)),
    ];
  }

  #put(object: T, isSame: (a: T, b: T) => boolean = sameVersion): Change<T>[] {
    const key = objectKey(object);
    const old = this.#objects.get(key);
    if (old && isSame(old, object)) return [];
    if (old) this.#unindex(key);
    this.#objects.set(key, deepFreeze(object));
    this.#reindex(key, object);
    if (!old) return [{ type: 'added', object }];
    // Another object of the same name: the watch missed the deletion of its predecessor.
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
    this.#unindex(key);
    this.#objects.delete(key);
    return [{ type: 'deleted', object: deepFreeze(object) }];
  }

  #reindex(key: string, object: T): void {
    const indexed = new Map<string, string[]>();
    this.#indexed.set(key, indexed);
    for (const [name, values] of this.#indexes) {
      const own = this.#valuesOf(name, key, object);
      indexed.set(name, own);
      for (const value of own) values.set(value, (values.get(value) ?? new Set()).add(key));
    }
  }

  #unindex(key: string): void {
    for (const [name, own] of this.#indexed.get(key) ?? []) {
      const values = this.#index(name);
      for (const value of own) {
        const keys = values.get(value);
        keys?.delete(key);
        if (keys?.size === 0) values.delete(value);
      }
    }
    this.#indexed.delete(key);
  }

  #valuesOf(index: string, key: string, object: T): string[] {
    try {
      return [...this.#indexers[index]!(object)];
    } catch (error) {
      this.#onIndexerError(error, index, key);
      return [];
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

/** All readers share a cached object: an attempt to change it must fail and not corrupt the cache. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
  return value;
}
