import type { CostWeights } from './cost.ts';
import { hopCostMs } from './cost.ts';
import type { Graph, Link, Relay } from './graph.ts';
import { linkKey, qualityFrom } from './graph.ts';
import { MinHeap } from './min-heap.ts';

/** A loop-free path through relays, the viewer's side first, the relay in the origin's region last. */
export interface Path {
  readonly hops: readonly string[];
  readonly costMs: number;
  readonly rttMs: number;
  readonly lossPercent: number;
}

export interface PathQuery {
  /** Relays where the path may begin, on the destination's side. */
  readonly sources: readonly string[];
  readonly originRegion: string;
  /** Maximum number of trunks between relays. */
  readonly maxHops: number;
  readonly weights: CostWeights;
  /** Regions to pass, in order from the source. */
  readonly via: readonly string[];
  readonly avoidRegions: ReadonlySet<string>;
  readonly avoidProviders: ReadonlySet<string>;
}

/** Higher than any real path's cost: a backup shares a relay or a link with another path only when there is no alternative. */
const SHARED_PENALTY_MS = 1_000_000;

/** Maximum number of partial paths kept for one (relay, regions passed): allows a detour when the cheapest one would form a loop. */
const LABELS_PER_STATE = 4;

interface Label {
  readonly node: string;
  readonly passed: number;
  readonly hops: readonly string[];
  /** Cost with penalties: what the search minimises. */
  readonly weight: number;
}

/**
 * The `count` best paths, each as disjoint as possible from those before it; the first is the cheapest.
 * With `first` given (a path that is kept for now) the others are found beside it.
 * Deterministic: ties are broken by hop count, then by the names of the relays.
 *
 * Best-first search over labels (relay, regions passed so far) as in multi-label constrained shortest path
 * (Irnich and Desaulniers, "Shortest path problems with resource constraints", 2005), with few labels kept for a state.
 */
export function disjointPaths(graph: Graph, query: PathQuery, count: number, first?: Path): Path[] {
  const found: Path[] = [];
  const used: Used = { relays: new Set(), links: new Set() };
  for (let next = first; found.length < count; next = undefined) {
    const hops = next?.hops ?? search(graph, query, used);
    if (!hops || found.some((path) => sameHops(path.hops, hops))) break;
    const path = next ?? measurePath(graph, hops, query.weights);
    if (!path) break;
    found.push(path);
    markUsed(used, hops);
  }
  return found;
}

interface Used {
  readonly relays: Set<string>;
  readonly links: Set<string>;
}

function markUsed(used: Used, hops: readonly string[]): void {
  hops.forEach((node, i) => {
    used.relays.add(node);
    const next = hops[i + 1];
    if (next !== undefined) used.links.add(linkKey(node, next));
  });
}

/** The current cost of a path; undefined when one of its relays or links is gone. */
export function measurePath(graph: Graph, hops: readonly string[], weights: CostWeights): Path | undefined {
  let costMs = 0;
  let rttMs = 0;
  let delivered = 1;
  for (let i = 0; i < hops.length; i++) {
    const relay = graph.relays.get(hops[i] as string);
    if (!relay) return undefined;
    if (i === 0) continue;
    const link = linkBetween(graph, hops[i - 1] as string, relay.node);
    if (!link) return undefined;
    const quality = qualityFrom(link, relay.node);
    costMs += hopCostMs(quality, relay, weights);
    rttMs += quality.rttMs;
    delivered *= 1 - quality.lossPercent / 100;
  }
  return { hops: [...hops], costMs, rttMs, lossPercent: (1 - delivered) * 100 };
}

/** Whether a path satisfies the query: it may have been chosen under another policy or mesh. */
export function satisfies(graph: Graph, hops: readonly string[], query: PathQuery): boolean {
  const relays = hops.map((node) => graph.relays.get(node));
  if (relays.some((relay) => !relay) || hops.length === 0 || hops.length - 1 > query.maxHops) return false;
  const known = relays as Relay[];
  if (!query.sources.includes(hops[0] as string)) return false;
  if (known.at(-1)?.region !== query.originRegion) return false;
  let passed = 0;
  for (const relay of known) passed = countPassed(query, passed, relay);
  const straight = known.every((relay, i) => !returns(graph, hops.slice(0, i), relay));
  return straight && passed === query.via.length && known.slice(1, -1).every((relay) => allowed(relay, query));
}

export function sameHops(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((node, i) => node === b[i]);
}

function search(graph: Graph, query: PathQuery, used: Used): readonly string[] | undefined {
  const queue = new MinHeap<Label>(compareLabels);
  const settled = new Map<string, number>();
  for (const source of [...query.sources].sort()) {
    const relay = graph.relays.get(source);
    if (!relay) continue;
    const weight = used.relays.has(source) ? SHARED_PENALTY_MS : 0;
    queue.push({ node: source, passed: countPassed(query, 0, relay), hops: [source], weight });
  }
  for (let label = queue.pop(); label; label = queue.pop()) {
    const state = `${label.node} ${label.passed} ${label.hops.length}`;
    const seen = settled.get(state) ?? 0;
    if (seen >= LABELS_PER_STATE) continue;
    settled.set(state, seen + 1);
    const here = graph.relays.get(label.node) as Relay;
    if (here.region === query.originRegion && label.passed === query.via.length) return label.hops;
    if (label.hops.length > query.maxHops) continue;
    for (const { node, link } of graph.neighbours.get(label.node) ?? []) {
      const relay = graph.relays.get(node) as Relay;
      if (label.hops.includes(node) || returns(graph, label.hops, relay)) continue;
      const passed = countPassed(query, label.passed, relay);
      const arrives = relay.region === query.originRegion && passed === query.via.length;
      if (!arrives && !allowed(relay, query)) continue;
      const shared = Number(used.relays.has(node)) + Number(used.links.has(linkKey(label.node, node)));
      queue.push({
        node,
        passed,
        hops: [...label.hops, node],
        weight: label.weight + hopCostMs(qualityFrom(link, node), relay, query.weights) + shared * SHARED_PENALTY_MS,
      });
    }
  }
  return undefined;
}

/** A path never returns to a region that it left: an apparent gain from that is measurement noise. */
function returns(graph: Graph, hops: readonly string[], next: Relay): boolean {
  const regions = hops.map((node) => graph.relays.get(node)?.region);
  return regions.at(-1) !== next.region && regions.includes(next.region);
}

function allowed(relay: Relay, query: PathQuery): boolean {
  return !query.avoidRegions.has(relay.region) && !query.avoidProviders.has(relay.provider);
}

/** How many of the regions to pass have been passed once `relay` is reached. */
function countPassed(query: PathQuery, passed: number, relay: Relay): number {
  let count = passed;
  while (count < query.via.length && query.via[count] === relay.region) count++;
  return count;
}

function linkBetween(graph: Graph, a: string, b: string): Link | undefined {
  return graph.neighbours.get(a)?.find((neighbour) => neighbour.node === b)?.link;
}

function compareLabels(a: Label, b: Label): number {
  if (a.weight !== b.weight) return a.weight - b.weight;
  if (a.hops.length !== b.hops.length) return a.hops.length - b.hops.length;
  const x = a.hops.join(' ');
  const y = b.hops.join(' ');
  return x < y ? -1 : x > y ? 1 : 0;
}
