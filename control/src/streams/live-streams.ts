import type { StreamPolicy } from '@millrace/api';
import { DEFAULT_POLICY, StreamPatternIndex } from '@millrace/api';
import { Multimap } from '@millrace/service';
import type { StreamEntry } from '../directory/index.ts';
import type { RouteRule } from '../routes/index.ts';
import { RouteTable } from '../routes/index.ts';

/** `entry` absent: the stream has ended. A change of its policy comes as a change with the same entry. */
export interface StreamChange {
  stream: string;
  entry: StreamEntry | undefined;
  rule: RouteRule | undefined;
  /** Name of the StreamRoute that applied before. */
  ruleBefore: string | undefined;
  /** The entry that ended, or that this one replaces. */
  before: StreamEntry | undefined;
}

/** All live streams by name and by the StreamRoute that applies. Follows the directory; never asks it. */
export class LiveStreams {
  readonly #entries = new Map<string, StreamEntry>();
  readonly #ruleNames = new Map<string, string | undefined>();
  readonly #names = new StreamPatternIndex<string>();
  readonly #byRule = new Multimap<string, string>();
  readonly #rules = new RouteTable();
  readonly #listeners = new Set<(change: StreamChange) => void>();

  get size(): number {
    return this.#entries.size;
  }

  watch(listener: (change: StreamChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(stream: string): StreamEntry | undefined {
    return this.#entries.get(stream);
  }

  entries(): IterableIterator<StreamEntry> {
    return this.#entries.values();
  }

  /** The streams that a StreamRoute applies to. */
  ofRule(name: string): ReadonlySet<string> {
    return this.#byRule.get(name);
  }

  ruleOf(stream: string): RouteRule | undefined {
    return this.#rules.match(stream);
  }

  policyOf(stream: string): StreamPolicy {
    return this.#rules.match(stream)?.policy ?? DEFAULT_POLICY;
  }

  /** Ignores an epoch older than the known one: answers and events may overtake each other. */
  put(entry: StreamEntry): void {
    const before = this.#entries.get(entry.stream);
    if (before && before.epoch > entry.epoch) return;
    this.#entries.set(entry.stream, entry);
    if (!before) this.#names.add(entry.stream, entry.stream);
    const ruleBefore = this.#ruleNames.get(entry.stream);
    this.#file(entry.stream);
    this.#emit(entry.stream, before, ruleBefore);
  }

  /** Removes the stream if its epoch is this one or an earlier one. */
  remove(stream: string, epoch: number): void {
    const before = this.#entries.get(stream);
    if (!before || before.epoch > epoch) return;
    this.#entries.delete(stream);
    this.#names.delete(stream, stream);
    const ruleBefore = this.#ruleNames.get(stream);
    this.#unfile(stream);
    this.#emit(stream, before, ruleBefore);
  }

  /** Makes the view equal to the directory's list. */
  replace(entries: readonly StreamEntry[]): void {
    const listed = new Set(entries.map((entry) => entry.stream));
    for (const entry of [...this.#entries.values()]) if (!listed.has(entry.stream)) this.remove(entry.stream, entry.epoch);
    for (const entry of entries) {
      const known = this.#entries.get(entry.stream);
      if (known?.epoch !== entry.epoch || known.session !== entry.session) this.put(entry);
    }
  }

  setRule(rule: RouteRule): void {
    const old = this.#rules.get(rule.name);
    this.#rules.set(rule);
    this.#refile([...(old?.patterns ?? []), ...rule.patterns], rule.name);
  }

  deleteRule(name: string): void {
    const old = this.#rules.get(name);
    this.#rules.delete(name);
    this.#refile(old?.patterns ?? [], name);
  }

  /** Re-evaluates the live streams that one of these patterns matches. */
  #refile(patterns: readonly string[], changedRule: string): void {
    const touched = new Set<string>(this.#byRule.get(changedRule));
    for (const pattern of patterns) for (const { value } of this.#names.within(pattern)) touched.add(value);
    for (const stream of touched) {
      const entry = this.#entries.get(stream);
      if (!entry) continue;
      const before = this.#ruleNames.get(stream);
      const now = this.#file(stream);
      if (before !== now || now === changedRule) this.#emit(stream, entry, before);
    }
  }

  #file(stream: string): string | undefined {
    const rule = this.#rules.match(stream)?.name;
    const before = this.#ruleNames.get(stream);
    if (before !== undefined && before !== rule) this.#byRule.delete(before, stream);
    this.#ruleNames.set(stream, rule);
    if (rule !== undefined) this.#byRule.add(rule, stream);
    return rule;
  }

  #unfile(stream: string): void {
    const rule = this.#ruleNames.get(stream);
    this.#ruleNames.delete(stream);
    if (rule !== undefined) this.#byRule.delete(rule, stream);
  }

  #emit(stream: string, before: StreamEntry | undefined, ruleBefore: string | undefined): void {
    const change = { stream, entry: this.#entries.get(stream), rule: this.#rules.match(stream), ruleBefore, before };
    for (const listener of this.#listeners) listener(change);
  }
}
