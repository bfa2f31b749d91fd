import { DEFAULT_PATH_POLICY_KEY } from '@millrace/api';
import { attachedRelays } from './attach.ts';
import type { MeshNode, MeshObservation, NamedPolicy, NodeProgram, NodeRoute, RegionRoute } from './model.ts';
import type { RouteRequest } from './room.ts';
import { MAX_NODE_ROUTES, peersOfRelays, rankRouteRequests } from './room.ts';
import type { Challenge, Graph, JudgedLink, Path, PathQuery } from './routing/index.ts';
import { buildGraph, choosePath, disjointPaths, judgeLinks, measurePath, satisfies, weightsFor } from './routing/index.ts';

export interface MeshPlan {
  readonly programs: ReadonlyMap<string, NodeProgram>;
  readonly links: readonly JudgedLink[];
  readonly routes: readonly RegionRoute[];
  /** Region pairs that have publishers on one side and viewers on the other, but no path. */
  readonly unreachable: readonly { readonly from: string; readonly to: string; readonly policy: string }[];
  /** What does not fit into the MediaNodes and is therefore not planned. */
  readonly leftOut: LeftOut;
  readonly challenges: ReadonlyMap<string, Challenge>;
}

export interface LeftOut {
  /** Routes by `routeKey`, and the regions whose viewers lack them. */
  readonly routes: number;
  readonly regions: readonly string[];
  /** Pairs of relays that do not probe each other. */
  readonly links: number;
}

/** The nodes of one region with viewers that enter the mesh through the same relays. They share their routes. */
interface ViewerGroup {
  readonly region: string;
  readonly sources: readonly string[];
  readonly members: readonly MeshNode[];
}

/** Plans the mesh: which nodes probe each other, which relays each node attaches to, and every route from each region with publishers to each region with viewers. */
export function planMesh(observed: MeshObservation, now: number): MeshPlan {
  const nodes = [...observed.nodes].sort((x, y) => (x.name < y.name ? -1 : 1));
  const relays = nodes.filter((node) => node.roles.has('relay'));
  const links = judgeLinks(observed.reports);
  const graph = buildGraph(
    relays.filter((relay) => !relay.leaving).map(({ name, ...relay }) => ({ node: name, ...relay })),
    links.filter((link) => link.state !== 'Down'),
  );
  const attached = new Map(
    nodes.map((node) => [
      node.name,
      attachedRelays(
        node,
        relays.filter((relay) => relay.region === node.region),
      ),
    ]),
  );
  const origins = regionsWith(nodes, 'push');

  const challenges = new Map<string, Challenge>();
  const routesOf = new Map<string, readonly NodeRoute[]>();
  const routes = new Map<string, RegionRoute>();
  const unreachable = new Map<string, { from: string; to: string; policy: string }>();
  const leftOut = new Map<string, string>();
  for (const entry of entriesOf(nodes, attached)) {
    const held: NodeRoute[] = [];
    const isInUse = ({ origin, policy }: RouteRequest): boolean => observed.inUse.has(routeKey(origin, entry.region, policy.key));
    for (const { origin, policy } of rankRouteRequests(entry.region, origins, observed.policies, isInUse)) {
      const key = routeKey(origin, entry.region, policy.key);
      if (held.length >= MAX_NODE_ROUTES) {
        leftOut.set(key, entry.region);
        continue;
      }
      const planned = planRoute(observed, graph, entry, origin, policy, now);
      if (!planned) {
        unreachable.set(key, { from: origin, to: entry.region, policy: policy.key });
        continue;
      }
      if (planned.challenge) challenges.set(challengeKey(key, entry), planned.challenge);
      held.push({
        originRegion: origin,
        policy: policy.key,
        paths: planned.paths.map(({ hops, costMs }) => ({ hops, costMs: round(costMs) })),
      });
      const known = routes.get(key);
      const route = regionRoute(origin, entry, policy.key, planned);
      // Nodes of one region that enter the mesh through other relays have a path of their own. Status shows the first; all must be programmed.
      routes.set(key, known ? { ...known, programmed: known.programmed && route.programmed } : route);
    }
    held.sort(compareRoutes);
    for (const { name } of entry.members) routesOf.set(name, held);
  }

  const peers = peersOfRelays(relays);
  const programs = new Map<string, NodeProgram>();
  for (const node of nodes) {
    const own = routesOf.get(node.name) ?? [];
    const near = attached.get(node.name) ?? [];
    const probed = peers.get(node.name) ?? relays.filter((relay) => near.includes(relay.name));
    programs.set(node.name, {
      relays: near,
      peers: probed.map(({ name, region }) => ({ node: name, region })),
      routes: node.roles.has('relay') ? own.map((route) => withoutSelf(route, node.name)) : own,
    });
  }
  return {
    programs,
    links,
    routes: [...routes.values()].sort(compareRegionRoutes(observed.inUse)),
    unreachable: [...unreachable.values()],
    leftOut: {
      routes: leftOut.size,
      regions: [...new Set(leftOut.values())].sort(),
      links: (relays.length * (relays.length - 1) - [...peers.values()].reduce((sum, list) => sum + list.length, 0)) / 2,
    },
    challenges,
  };
}

/** Key of a route: from the origin's region to the viewer's, under a policy. */
export function routeKey(from: string, to: string, policy: string): string {
  return `${from}>${to}/${policy}`;
}

interface PlannedRoute {
  readonly paths: readonly Path[];
  readonly since: number;
  readonly challenge: Challenge | undefined;
}

function planRoute(
  observed: MeshObservation,
  graph: Graph,
  entry: ViewerGroup,
  originRegion: string,
  policy: NamedPolicy,
  now: number,
): PlannedRoute | undefined {
  const { routing } = observed;
  const query = queryFor(observed, entry, originRegion, policy);
  const best = disjointPaths(graph, query, 1)[0] ?? disjointPaths(graph, withoutPreconfigured(query, policy), 1)[0];
  if (!best) return undefined;
  const key = routeKey(originRegion, entry.region, policy.key);
  const inUse = programmedHops(entry, originRegion, policy.key);
  const current = inUse && satisfies(graph, inUse, query) ? measurePath(graph, inUse, query.weights) : undefined;
  const choice = choosePath(
    current,
    observed.since.get(key) ?? now,
    best,
    observed.challenges.get(challengeKey(key, entry)),
    routing.hysteresis,
    now,
  );
  // A backup may leave the preconfigured path: when that breaks, any other path is better than none.
  const paths = disjointPaths(graph, withoutPreconfigured(query, policy), routing.paths, choice.path);
  return { paths, since: choice.since, challenge: choice.challenge };
}

function queryFor(observed: MeshObservation, entry: ViewerGroup, originRegion: string, policy: NamedPolicy): PathQuery {
  const { routing, preconfigured } = observed;
  const fixed =
    policy.key === DEFAULT_PATH_POLICY_KEY
      ? preconfigured.find((route) => route.from === originRegion && route.to === entry.region)
      : undefined;
  const via = (fixed ?? policy).via.filter((region) => region !== originRegion && region !== entry.region);
  return {
    sources: entry.sources,
    originRegion,
    maxHops: routing.maxHops,
    weights: weightsFor(policy.policy, routing.weights),
    via: [...via].reverse(),
    avoidRegions: new Set(policy.avoidRegions),
    avoidProviders: new Set(policy.avoidProviders),
  };
}

/** A policy's own `via` binds its backups too; a preconfigured path of the mesh does not. */
function withoutPreconfigured(query: PathQuery, policy: NamedPolicy): PathQuery {
  return policy.key === DEFAULT_PATH_POLICY_KEY ? { ...query, via: [] } : query;
}

/** The primary path that the entry's nodes hold now. A relay stores its path without itself. */
function programmedHops(entry: ViewerGroup, originRegion: string, policy: string): readonly string[] | undefined {
  for (const node of entry.members) {
    const hops = node.routes.find((route) => route.originRegion === originRegion && route.policy === policy)?.paths[0]?.hops;
    if (hops) return node.roles.has('relay') ? [node.name, ...hops] : hops;
  }
  return undefined;
}

function entriesOf(nodes: readonly MeshNode[], attached: ReadonlyMap<string, readonly string[]>): ViewerGroup[] {
  const entries = new Map<string, { region: string; sources: readonly string[]; members: MeshNode[] }>();
  for (const node of nodes) {
    if (!node.roles.has('pull')) continue;
    const sources = node.roles.has('relay') ? [node.name] : (attached.get(node.name) ?? []);
    const key = `${node.region} ${sources.join(' ')}`;
    const entry = entries.get(key);
    if (entry) entry.members.push(node);
    else entries.set(key, { region: node.region, sources, members: [node] });
  }
  return [...entries.values()];
}

function regionRoute(from: string, entry: ViewerGroup, policy: string, planned: PlannedRoute): RegionRoute {
  const [primary, backup] = planned.paths;
  const holds = (node: MeshNode) =>
    node.acknowledged && programmedHops({ ...entry, members: [node] }, from, policy)?.join(' ') === primary?.hops.join(' ');
  return {
    from,
    to: entry.region,
    policy,
    primary: primary as Path,
    backup,
    programmed: entry.members.every(holds),
    since: planned.since,
  };
}

function withoutSelf(route: NodeRoute, self: string): NodeRoute {
  return { ...route, paths: route.paths.map((path) => ({ ...path, hops: path.hops.filter((hop) => hop !== self) })) };
}

function regionsWith(nodes: readonly MeshNode[], role: 'push'): readonly string[] {
  return [...new Set(nodes.filter((node) => node.roles.has(role)).map((node) => node.region))].sort();
}

/** Sorted by origin, then policy, for readers. `rankRouteRequests` decides which routes are included. */
function compareRoutes(x: NodeRoute, y: NodeRoute): number {
  return compare(x.originRegion, y.originRegion) || compare(x.policy, y.policy);
}

/** Status has room for a limited number of routes; those in use come first. */
function compareRegionRoutes(inUse: ReadonlySet<string>): (x: RegionRoute, y: RegionRoute) => number {
  const rank = ({ from, to, policy }: RegionRoute): number => (inUse.has(routeKey(from, to, policy)) ? 0 : 1);
  return (x, y) => rank(x) - rank(y) || compare(x.to, y.to) || compare(x.from, y.from) || compare(x.policy, y.policy);
}

function compare(x: string, y: string): number {
  return x < y ? -1 : x > y ? 1 : 0;
}

function challengeKey(key: string, entry: ViewerGroup): string {
  return `${key} ${entry.sources.join(' ')}`;
}

/** Costs are rounded to a tenth of a ms, so that smaller changes cause no write. */
function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
