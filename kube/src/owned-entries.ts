/** Entries by key, and the keys of each owner, so that what concerns one owner costs no more with many others. */
export class OwnedEntries<E extends { readonly owner: string }> implements Iterable<[string, E]> {
  readonly #entries = new Map<string, E>();
  readonly #keys = new Map<string, Set<string>>();

  get(key: string): E | undefined {
    return this.#entries.get(key);
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  set(key: string, entry: E): void {
    this.delete(key);
    this.#entries.set(key, entry);
    const keys = this.#keys.get(entry.owner);
    if (keys) keys.add(key);
    else this.#keys.set(entry.owner, new Set([key]));
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    const keys = this.#keys.get(entry.owner);
    keys?.delete(key);
    if (keys?.size === 0) this.#keys.delete(entry.owner);
  }

  /** The owner's entries, as they are now. */
  of(owner: string): [string, E][] {
    return [...(this.#keys.get(owner) ?? [])].map((key) => [key, this.#entries.get(key)!]);
  }

  [Symbol.iterator](): IterableIterator<[string, E]> {
    return this.#entries.entries();
  }
}
