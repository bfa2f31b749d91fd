import { matchesStreamPattern } from '@millrace/api';
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

/** All rules, found by a stream's name without looking at each: exact patterns by name, globs by their app where it is literal. */
export class RouteTable {
  readonly #rules = new Map<string, RouteRule>();
  readonly #exact = new Map<string, Set<RouteRule>>();
  readonly #byApp = new Map<string, Set<RouteRule>>();
  readonly #anyApp = new Set<RouteRule>();

  get size(): number {
    return this.#rules.size;
  }

  get(name: string): RouteRule | undefined {
    return this.#rules.get(name);
  }

  set(rule: RouteRule): void {
    this.delete(rule.name);
    this.#rules.set(rule.name, rule);
    for (const pattern of rule.patterns) this.#bucket(pattern, true)!.add(rule);
  }

  delete(name: string): void {
    const rule = this.#rules.get(name);
    if (!rule) return;
    this.#rules.delete(name);
    for (const pattern of rule.patterns) {
      const { index, key } = this.#place(pattern);
      const bucket = this.#bucket(pattern, false);
      bucket?.delete(rule);
      if (index && bucket?.size === 0) index.delete(key);
    }
  }

  match(stream: string): RouteRule | undefined {
    let best: Candidate | undefined;
    for (const bucket of [this.#exact.get(stream), this.#byApp.get(appOf(stream)), this.#anyApp]) {
      for (const rule of bucket ?? []) {
        for (const pattern of rule.patterns) {
          if (!matchesStreamPattern(pattern, stream)) continue;
          const candidate = { rule, pattern, specificity: patternSpecificity(pattern) };
          if (!best || better(candidate, best)) best = candidate;
        }
      }
    }
    return best?.rule;
  }

  #bucket(pattern: string, create: boolean): Set<RouteRule> | undefined {
    const { index, key } = this.#place(pattern);
    if (!index) return this.#anyApp;
    let bucket = index.get(key);
    if (!bucket && create) index.set(key, (bucket = new Set()));
    return bucket;
  }

  #place(pattern: string): { index: Map<string, Set<RouteRule>> | undefined; key: string } {
    if (!pattern.includes('*')) return { index: this.#exact, key: pattern };
    const app = appOf(pattern);
    return app.includes('*') ? { index: undefined, key: '' } : { index: this.#byApp, key: app };
  }
}

/** The half of a stream name or pattern before the slash. */
export function appOf(streamOrPattern: string): string {
  return streamOrPattern.slice(0, streamOrPattern.indexOf('/'));
}
