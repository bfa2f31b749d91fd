import {
  compareRoutePrecedence,
  matchesStreamPattern,
  pathPolicyKey,
  StreamPatternIndex,
  type RoutePrecedence,
  type StreamRoute,
} from '@millrace/api';
import type { Change } from '@millrace/kube';

/** A pattern without effect: another StreamRoute wins for every stream that it matches. */
export interface Shadowed {
  readonly pattern: string;
  readonly by: string;
}

/** The part of a StreamRoute that the index needs. */
interface IndexedRoute extends RoutePrecedence {
  readonly uid: string | undefined;
  readonly generation: number | undefined;
  readonly patterns: readonly string[];
  readonly policyKey: string;
  readonly regions: ReadonlySet<string>;
  /** Nodes on the paths of its active streams. */
  readonly carriers: ReadonlySet<string>;
}

/**
 * The StreamRoutes of one namespace: which pattern shadows which, and which routes a change of another object affects. The precedence is
 * that of `comparePatternPrecedence`, so two kinds of pattern shadow a pattern: a wider or equal one of a route with higher priority, and
 * an equal one of an older route with the same priority. The cost of a change grows with the routes that it affects, not with all routes.
 */
export class RouteIndex {
  readonly #matches: (pattern: string, name: string) => boolean;
  readonly #entries = new Map<string, IndexedRoute>();
  readonly #byPriority = new Map<number, StreamPatternIndex<IndexedRoute>>();
  readonly #byPolicy = new Map<string, Set<string>>();
  readonly #byRegion = new Map<string, Set<string>>();
  readonly #byCarrier = new Map<string, Set<string>>();

  /** @param matches whether a pattern matches a name, or another pattern whose stars count as ordinary characters */
  constructor(matches: (pattern: string, name: string) => boolean = matchesStreamPattern) {
    this.#matches = matches;
  }

  /** Returns the names of the StreamRoutes whose status the change may affect, the changed one included. */
  apply({ type, object }: Change<StreamRoute>): ReadonlySet<string> {
    const { name } = object.metadata;
    const before = this.#entries.get(name);
    const after = type === 'deleted' ? undefined : entryOf(object, before);
    const affected = new Set([name]);
    const affectsOthers = !before || !after || !hasSamePrecedence(before, after);
    if (before) {
      if (affectsOthers) for (const other of this.#shadowedBy(before)) affected.add(other);
      this.#remove(before);
    }
    if (after) {
      this.#add(after);
      if (affectsOthers) for (const other of this.#shadowedBy(after)) affected.add(other);
    }
    return affected;
  }

  /** The patterns of a route that others shadow, each with the one that wins. */
  shadowedPatterns(name: string): Shadowed[] {
    const own = this.#entries.get(name);
    return (own?.patterns ?? []).flatMap((pattern) => {
      const winner = this.#winnerOver(own as IndexedRoute, pattern);
      return winner ? [{ pattern, by: winner.name }] : [];
    });
  }

  all(): Iterable<string> {
    return this.#entries.keys();
  }

  withPolicy(policyKey: string): Iterable<string> {
    return this.#byPolicy.get(policyKey) ?? [];
  }

  namingRegion(region: string): Iterable<string> {
    return this.#byRegion.get(region) ?? [];
  }

  carriedBy(node: string): Iterable<string> {
    return this.#byCarrier.get(node) ?? [];
  }

  carriersOf(name: string): Iterable<string> {
    return this.#entries.get(name)?.carriers ?? [];
  }

  #winnerOver(own: IndexedRoute, pattern: string): IndexedRoute | undefined {
    let winner: IndexedRoute | undefined;
    const challenge = (rival: IndexedRoute): void => {
      if (rival.name !== own.name && (!winner || wins(rival, winner))) winner = rival;
    };
    for (const [priority, patterns] of this.#byPriority) {
      if (priority > own.priority) for (const { value } of patterns.matching(pattern)) challenge(value);
    }
    for (const rival of this.#byPriority.get(own.priority)?.equal(pattern) ?? []) if (wins(rival, own)) challenge(rival);
    return winner;
  }

  /** Names of the routes that have a pattern which this route shadows. */
  *#shadowedBy(entry: IndexedRoute): Generator<string> {
    for (const pattern of entry.patterns) {
      for (const [priority, patterns] of this.#byPriority) {
        if (priority < entry.priority) for (const { value } of patterns.within(pattern)) yield value.name;
      }
      for (const { name } of this.#byPriority.get(entry.priority)?.equal(pattern) ?? []) yield name;
    }
  }

  #add(entry: IndexedRoute): void {
    this.#entries.set(entry.name, entry);
    let patterns = this.#byPriority.get(entry.priority);
    if (!patterns) this.#byPriority.set(entry.priority, (patterns = new StreamPatternIndex(this.#matches)));
    for (const pattern of entry.patterns) patterns.add(pattern, entry);
    put(this.#byPolicy, entry.policyKey, entry.name);
    for (const region of entry.regions) put(this.#byRegion, region, entry.name);
    for (const node of entry.carriers) put(this.#byCarrier, node, entry.name);
  }

  #remove(entry: IndexedRoute): void {
    this.#entries.delete(entry.name);
    const patterns = this.#byPriority.get(entry.priority);
    for (const pattern of entry.patterns) patterns?.delete(pattern, entry);
    if (patterns?.size === 0) this.#byPriority.delete(entry.priority);
    take(this.#byPolicy, entry.policyKey, entry.name);
    for (const region of entry.regions) take(this.#byRegion, region, entry.name);
    for (const node of entry.carriers) take(this.#byCarrier, node, entry.name);
  }
}

/** The regions that a StreamRoute refers to and that must exist, each with the field that names it. */
export function namedRegions({ spec }: StreamRoute): readonly (readonly [field: string, region: string])[] {
  const { origin, distribution, path } = spec;
  const fields: Record<string, readonly string[] | undefined> = {
    'origin.regions': origin.regions,
    'distribution.regions': distribution.regions,
    'distribution.prewarm': distribution.prewarm,
    'path.via': path.via,
  };
  return Object.entries(fields).flatMap(([field, regions]) => (regions ?? []).map((region) => [field, region] as const));
}

function entryOf(route: StreamRoute, before: IndexedRoute | undefined): IndexedRoute {
  const { metadata, spec, status } = route;
  const isSameSpec = before !== undefined && before.uid === metadata.uid && before.generation === metadata.generation;
  const streams = status?.streams ?? [];
  return {
    name: metadata.name,
    uid: metadata.uid,
    generation: metadata.generation,
    createdAt: metadata.creationTimestamp ?? '',
    priority: spec.priority,
    patterns: spec.streams,
    policyKey: isSameSpec ? before.policyKey : pathPolicyKey(spec.path),
    regions: isSameSpec ? before.regions : new Set(namedRegions(route).map(([, region]) => region)),
    carriers: new Set(streams.flatMap(({ origin, paths }) => [origin.node, ...(paths ?? []).flatMap(({ hops }) => hops)])),
  };
}

/** Whether both shadow, and are shadowed by, the same patterns. */
function hasSamePrecedence(a: IndexedRoute, b: IndexedRoute): boolean {
  return (
    a.priority === b.priority &&
    a.createdAt === b.createdAt &&
    a.patterns.length === b.patterns.length &&
    a.patterns.every((pattern, i) => pattern === b.patterns[i])
  );
}

function wins(a: RoutePrecedence, b: RoutePrecedence): boolean {
  return compareRoutePrecedence(a, b) < 0;
}

function put(sets: Map<string, Set<string>>, key: string, value: string): void {
  const set = sets.get(key);
  if (set) set.add(value);
  else sets.set(key, new Set([value]));
}

function take(sets: Map<string, Set<string>>, key: string, value: string): void {
  const set = sets.get(key);
  set?.delete(value);
  if (set?.size === 0) sets.delete(key);
}
