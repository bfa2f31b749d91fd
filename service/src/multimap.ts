const NONE: ReadonlySet<never> = new Set<never>();

/** Keys, each with a set of values; a key without values is not kept. */
export class Multimap<K, V> {
  readonly #sets = new Map<K, Set<V>>();

  /** The values of a key; empty if there are none. A live view: copy it before changing the map while iterating. */
  get(key: K): ReadonlySet<V> {
    return this.#sets.get(key) ?? NONE;
  }

  has(key: K, value: V): boolean {
    return this.#sets.get(key)?.has(value) === true;
  }

  get size(): number {
    return this.#sets.size;
  }

  add(key: K, value: V): void {
    const set = this.#sets.get(key);
    if (set) set.add(value);
    else this.#sets.set(key, new Set([value]));
  }

  delete(key: K, value: V): void {
    const set = this.#sets.get(key);
    if (set?.delete(value) && set.size === 0) this.#sets.delete(key);
  }
}
