import { StreamPatternIndex } from '@millrace/api';
import type { RouteRule } from './rule.ts';

interface Candidate {
  rule: RouteRule;
  pattern: string;
  specificity: number;
}

/** How exactly a pattern says what it means: an exact name above all, then the number of literal characters. */
export function patternSpecificity(pattern: string): number {
  const literal = pattern.replaceAll('*', '').length;
  return pattern.includes('*') ? literal : 1_000_000 + literal;
}

/** Highest priority, then most specific pattern, then oldest, then name. */
function better(a: Candidate, b: Candidate): boolean {
  if (a.rule.priority !== b.rule.priority) return a.rule.priority > b.rule.priority;
  if (a.specificity !== b.specificity) return a.specificity > b.specificity;
  if (a.rule.createdAt !== b.rule.createdAt) return a.rule.createdAt < b.rule.createdAt;
  return a.rule.name < b.rule.name;
}

/** All rules, found by a stream's name without looking at each. */
export class RouteTable {
  readonly #rules = new Map<string, RouteRule>();
  readonly #patterns: StreamPatternIndex<RouteRule>;

  /** @param matches whether a pattern matches a stream's name; default that of the API */
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

  match(stream: string): RouteRule | undefined {
    let best: Candidate | undefined;
    for (const { pattern, value: rule } of this.#patterns.matching(stream)) {
      const candidate = { rule, pattern, specificity: patternSpecificity(pattern) };
      if (!best || better(candidate, best)) best = candidate;
    }
    return best?.rule;
  }
}
