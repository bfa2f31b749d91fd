import { comparePatternPrecedence, StreamPatternIndex, type PatternMatch } from '@millrace/api';
import type { RouteRule } from './rule.ts';

/** Indexes the StreamRoutes by their patterns: a lookup compares only the routes that can match the stream. */
export class RouteTable {
  readonly #rules = new Map<string, RouteRule>();
  readonly #patterns: StreamPatternIndex<RouteRule>;

  /** @param matches whether a pattern matches a stream name; by default `matchesStreamPattern` */
  constructor(matches?: (pattern: string, stream: string) => boolean) {
    this.#patterns = new StreamPatternIndex(matches);
  }

  get size(): number {
    return this.#rules.size;
  }

  get(name: string): RouteRule | undefined {
    return this.#rules.get(name);
  }

  set(rule: RouteRule): void {
    this.delete(rule.name);
    this.#rules.set(rule.name, rule);
    for (const pattern of rule.patterns) this.#patterns.add(pattern, rule);
  }

  delete(name: string): void {
    const rule = this.#rules.get(name);
    if (!rule) return;
    this.#rules.delete(name);
    for (const pattern of rule.patterns) this.#patterns.delete(pattern, rule);
  }

  /** The rule that applies to a stream; undefined when none of the patterns matches. */
  match(stream: string): RouteRule | undefined {
    let best: PatternMatch<RouteRule> | undefined;
    for (const match of this.#patterns.matching(stream)) if (!best || hasPrecedence(match, best)) best = match;
    return best?.value;
  }
}

function hasPrecedence(a: PatternMatch<RouteRule>, b: PatternMatch<RouteRule>): boolean {
  return comparePatternPrecedence({ route: a.value, pattern: a.pattern }, { route: b.value, pattern: b.pattern }) < 0;
}
