import { matchesStreamPattern } from './streams.ts';

/** A pattern that matches, and what it was added with. */
export interface PatternMatch<T> {
  readonly pattern: string;
  readonly value: T;
}

/** Patterns with the same literal text before their first star, by the literal text after their last one. */
interface Bucket {
  readonly bySuffix: Map<string, Set<string>>;
  /** How many suffixes there are of each length. */
  readonly lengths: Map<number, number>;
}

/**
 * Values by stream name or pattern, found without looking at each: what matches a name by the literal text around a pattern's stars, what a
 * pattern matches by the order of the texts. A lookup costs in proportion to the length of the name and to what it finds.
 */
export class StreamPatternIndex<T> {
  readonly #matches: (pattern: string, name: string) => boolean;
  readonly #values = new Map<string, Set<T>>();
  /** Every pattern once, in the order of code units. */
  readonly #sorted: string[] = [];
  /** The same, read from the end. */
  readonly #reversed: string[] = [];
  readonly #globs = new Map<string, Bucket>();
  readonly #prefixLengths = new Map<number, number>();

  /** @param matches whether a pattern matches a name */
  constructor(matches: (pattern: string, name: string) => boolean = matchesStreamPattern) {
    this.#matches = matches;
  }

  /** How many different patterns there are. */
  get size(): number {
    return this.#values.size;
  }

  add(pattern: string, value: T): void {
    const known = this.#values.get(pattern);
    if (known) {
      known.add(value);
      return;
    }
    this.#values.set(pattern, new Set([value]));
    insert(this.#sorted, pattern);
    insert(this.#reversed, reverse(pattern));
    if (pattern.includes('*')) this.#addGlob(pattern);
  }

  delete(pattern: string, value: T): void {
    const known = this.#values.get(pattern);
    if (!known?.delete(value) || known.size > 0) return;
    this.#values.delete(pattern);
    this.#sorted.splice(lowerBound(this.#sorted, pattern), 1);
    this.#reversed.splice(lowerBound(this.#reversed, reverse(pattern)), 1);
    if (pattern.includes('*')) this.#deleteGlob(pattern);
  }

  /** Values of this very pattern. */
  equal(pattern: string): ReadonlySet<T> {
    return this.#values.get(pattern) ?? new Set<T>();
  }

  /** Values whose pattern matches `name`, in which a star counts as any other character. */
  *matching(name: string): Generator<PatternMatch<T>> {
    yield* this.#entries(name);
    for (const length of this.#prefixLengths.keys()) {
      const bucket = length <= name.length ? this.#globs.get(name.slice(0, length)) : undefined;
      for (const suffixLength of bucket?.lengths.keys() ?? []) {
        if (suffixLength > name.length) continue;
        for (const pattern of bucket?.bySuffix.get(name.slice(name.length - suffixLength)) ?? [])
          if (pattern !== name && this.#matches(pattern, name)) yield* this.#entries(pattern);
      }
    }
  }

  /** Values whose own name or pattern, its stars taken as characters, is matched by `pattern`. */
  *within(pattern: string): Generator<PatternMatch<T>> {
    const star = pattern.indexOf('*');
    if (star < 0) {
      yield* this.#entries(pattern);
      return;
    }
    const { prefix, suffix } = partsOf(pattern);
    const [begins, ends] = [rangeOf(this.#sorted, prefix), rangeOf(this.#reversed, reverse(suffix))];
    const candidates =
      begins.to - begins.from <= ends.to - ends.from
        ? this.#sorted.slice(begins.from, begins.to)
        : this.#reversed.slice(ends.from, ends.to).map(reverse);
    for (const text of candidates) if (text === pattern || this.#matches(pattern, text)) yield* this.#entries(text);
  }

  *#entries(pattern: string): Generator<PatternMatch<T>> {
    for (const value of this.#values.get(pattern) ?? []) yield { pattern, value };
  }

  #addGlob(pattern: string): void {
    const { prefix, suffix } = partsOf(pattern);
    let bucket = this.#globs.get(prefix);
    if (!bucket) {
      this.#globs.set(prefix, (bucket = { bySuffix: new Map(), lengths: new Map() }));
      count(this.#prefixLengths, prefix.length, 1);
    }
    const patterns = bucket.bySuffix.get(suffix);
    if (patterns) patterns.add(pattern);
    else {
      bucket.bySuffix.set(suffix, new Set([pattern]));
      count(bucket.lengths, suffix.length, 1);
    }
  }

  #deleteGlob(pattern: string): void {
    const { prefix, suffix } = partsOf(pattern);
    const bucket = this.#globs.get(prefix);
    const patterns = bucket?.bySuffix.get(suffix);
    patterns?.delete(pattern);
    if (!bucket || patterns?.size !== 0) return;
    bucket.bySuffix.delete(suffix);
    count(bucket.lengths, suffix.length, -1);
    if (bucket.bySuffix.size > 0) return;
    this.#globs.delete(prefix);
    count(this.#prefixLengths, prefix.length, -1);
  }
}

/** Where `text` stands in a sorted list, or would stand. */
function lowerBound(sorted: readonly string[], text: string): number {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (sorted[middle]! < text) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** The part of a sorted list that begins with `prefix`. */
function rangeOf(sorted: readonly string[], prefix: string): { from: number; to: number } {
  return { from: lowerBound(sorted, prefix), to: lowerBound(sorted, `${prefix}\uffff`) };
}

function insert(sorted: string[], text: string): void {
  sorted.splice(lowerBound(sorted, text), 0, text);
}

/** Patterns are ASCII. */
function reverse(text: string): string {
  return [...text].reverse().join('');
}

function partsOf(pattern: string): { prefix: string; suffix: string } {
  return { prefix: pattern.slice(0, pattern.indexOf('*')), suffix: pattern.slice(pattern.lastIndexOf('*') + 1) };
}

function count(counts: Map<number, number>, key: number, change: 1 | -1): void {
  const next = (counts.get(key) ?? 0) + change;
  if (next === 0) counts.delete(key);
  else counts.set(key, next);
}
