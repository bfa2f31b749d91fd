import { DEFAULT_PATH_POLICY_KEY, type RelayMesh, type RelayMeshStatus } from '@millrace/api';
import { maxItemsOf } from '@millrace/api/crd-bounds';
import { relayMeshCrd } from '@millrace/api/crds/definitions';
import type { Condition } from '@millrace/kube';
import { formatTime, setCondition } from '@millrace/kube';
import { PAUSED_CONDITION } from '../paused.ts';
import type { MeshNode, MeshObservation, RegionRoute } from './model.ts';
import type { MeshPlan } from './plan.ts';
import { Reason } from './reasons.ts';
import { MAX_NODE_PEERS, MAX_NODE_ROUTES } from './room.ts';
import type { JudgedLink, LinkQuality, Path } from './routing/index.ts';
import { linkKey, UNKNOWN_UTILIZATION_PERCENT } from './routing/index.ts';

/** Why the trunk key is not usable, if so. */
export type KeyState = { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly message: string };

/** The outcome of writing the plan into the MediaNodes. */
export interface Programming {
  /** Nodes whose MediaNode does not hold what is planned. */
  readonly behind: ReadonlySet<string>;
  /** Nodes whose MediaNode the API refuses to change, and its reason. */
  readonly refused: ReadonlyMap<string, string>;
}

const MAX_MEMBERS = maxItemsOf(relayMeshCrd, 'status.members');
const MAX_WORST_LINKS = maxItemsOf(relayMeshCrd, 'status.links.worst');
const MAX_ROUTES = maxItemsOf(relayMeshCrd, 'status.routes');

/** Maximum number of nodes named in a message. */
const NAMED = 5;

/** RelayMesh.status from what was observed and planned. */
export function meshStatus(
  mesh: RelayMesh,
  observed: MeshObservation,
  plan: MeshPlan,
  key: KeyState,
  programming: Programming,
  now: number,
): RelayMeshStatus {
  const { leftOut } = plan;
  return {
    observedGeneration: mesh.metadata.generation ?? 0,
    memberCount: observed.nodes.length,
    members: membersStatus(observed),
    links: linksStatus(observed, plan),
    routeCount: plan.routes.length,
    routes: plan.routes.slice(0, MAX_ROUTES).map(routeStatus),
    ...(leftOut.routes + leftOut.links > 0 ? { leftOut: { routes: leftOut.routes, links: leftOut.links } } : {}),
    conditions: conditions(mesh, observed, plan, key, programming, now),
  };
}

/** The status of a paused mesh: unchanged, plus the condition Paused. */
export function pausedMeshStatus({ metadata, status }: RelayMesh, now: number): RelayMeshStatus {
  const condition = { ...PAUSED_CONDITION, observedGeneration: metadata.generation ?? 0 };
  return { ...status, conditions: setCondition(status?.conditions, condition, now) };
}

function membersStatus(observed: MeshObservation): NonNullable<RelayMeshStatus['members']> {
  return [...observed.nodes]
    .sort((x, y) => (x.name < y.name ? -1 : 1))
    .slice(0, MAX_MEMBERS)
    .map((node) => ({
      node: node.name,
      edge: node.edge,
      region: node.region,
      roles: [...node.roles],
      state: node.leaving ? 'Draining' : node.fresh ? 'Connected' : node.seen ? 'Disconnected' : 'Pending',
    }));
}

/** Relays that have connected at least once. */
function relaysSeen(observed: MeshObservation): MeshNode[] {
  return observed.nodes.filter((node) => node.roles.has('relay') && node.seen);
}

/** The expected trunks: every pair of relays of which one probes the other. */
function expectedLinks(observed: MeshObservation, { programs }: MeshPlan): number {
  const relays = new Set(relaysSeen(observed).map((node) => node.name));
  const ends = [...relays].map((relay) => (programs.get(relay)?.peers ?? []).filter(({ node }) => relays.has(node)).length);
  return ends.reduce((sum, count) => sum + count, 0) / 2;
}

function relayLinks(observed: MeshObservation, links: readonly JudgedLink[]): JudgedLink[] {
  const relays = new Set(relaysSeen(observed).map((node) => node.name));
  return links.filter((link) => relays.has(link.a) && relays.has(link.b));
}

function linksStatus(observed: MeshObservation, plan: MeshPlan): NonNullable<RelayMeshStatus['links']> {
  const links = relayLinks(observed, plan.links);
  const fresh = new Set(observed.reports.filter((report) => report.fresh).map((report) => linkKey(report.from, report.to)));
  const count = (state: JudgedLink['state']) => links.filter((link) => link.state === state).length;
  const directions = links.flatMap(({ a, b, state, toA, toB }) => [
    { from: a, to: b, state, quality: toB },
    { from: b, to: a, state, quality: toA },
  ]);
  const badness = ({ state, quality }: { state: JudgedLink['state']; quality: LinkQuality }): number =>
    (state === 'Down' ? 1e9 : 0) + quality.lossPercent * 1_000 + quality.rttMs + quality.jitterMs;
  const worst = directions.sort((x, y) => badness(y) - badness(x)).slice(0, MAX_WORST_LINKS);
  return {
    total: expectedLinks(observed, plan),
    up: count('Up'),
    degraded: count('Degraded'),
    down: count('Down'),
    worst: worst.map(({ from, to, state, quality }) => ({
      from,
      to,
      state: fresh.has(linkKey(from, to)) ? state : 'Unknown',
      rttMs: tenth(quality.rttMs),
      jitterMs: tenth(quality.jitterMs),
      lossPercent: tenth(quality.lossPercent),
    })),
  };
}

function routeStatus(route: RegionRoute): NonNullable<RelayMeshStatus['routes']>[number] {
  return {
    from: route.from,
    to: route.to,
    policy: route.policy,
    primary: pathStatus(route.primary),
    ...(route.backup ? { backup: pathStatus(route.backup) } : {}),
    programmed: route.programmed,
    since: formatTime(route.since),
  };
}

/** Status lists hops from the publisher to the viewer, in the direction of media. */
function pathStatus(path: Path) {
  return {
    hops: [...path.hops].reverse(),
    costMs: tenth(path.costMs),
    rttMs: tenth(path.rttMs),
    lossPercent: tenth(path.lossPercent),
  };
}

type MeshCondition = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

function conditions(
  mesh: RelayMesh,
  observed: MeshObservation,
  plan: MeshPlan,
  key: KeyState,
  programming: Programming,
  now: number,
): Condition[] {
  const verdicts = [
    accepted(observed),
    resolved(observed, key),
    probesFresh(observed, plan),
    programmed(observed, plan, programming),
  ];
  const bad = verdicts.filter((verdict) => verdict.status !== 'True');
  const ready: MeshCondition =
    bad.length === 0
      ? { type: 'Ready', status: 'True', reason: Reason.Ready, message: 'All routes are programmed and measured.' }
      : {
          type: 'Ready',
          status: bad.some((verdict) => verdict.status === 'False') ? 'False' : 'Unknown',
          reason: bad[0]?.reason ?? Reason.NotReady,
          message: bad.map((verdict) => `${verdict.type}: ${verdict.message}`).join(' '),
        };
  let list: readonly Condition[] = (mesh.status?.conditions ?? []).filter(({ type }) => type !== PAUSED_CONDITION.type);
  const observedGeneration = mesh.metadata.generation ?? 0;
  for (const verdict of [...verdicts, ready]) list = setCondition(list, { ...verdict, observedGeneration }, now);
  return [...list];
}

function accepted(observed: MeshObservation): MeshCondition {
  const regions = new Set(observed.nodes.map((node) => node.region));
  const unknown = observed.preconfigured
    .flatMap((route) => [route.from, route.to, ...route.via])
    .filter((region) => !regions.has(region));
  return unknown.length === 0
    ? { type: 'Accepted', status: 'True', reason: Reason.Accepted, message: 'The mesh is valid.' }
    : {
        type: 'Accepted',
        status: 'False',
        reason: Reason.UnknownRegion,
        message: `spec.routes names regions where the mesh has no node: ${some([...new Set(unknown)])}. Add a MediaEdge there or correct the name.`,
      };
}

function resolved(observed: MeshObservation, key: KeyState): MeshCondition {
  const no = (reason: string, message: string): MeshCondition => ({ type: 'ResolvedRefs', status: 'False', reason, message });
  if (!key.ok) return no(key.reason, key.message);
  if (observed.nodes.length === 0)
    return no(Reason.NoMembers, 'No MediaEdge names this mesh in spec.meshRef and passes its selector, or none has pods yet.');
  if (!observed.nodes.some((node) => node.roles.has('relay')))
    return no(Reason.NoRelays, 'No member has the relay role: streams cannot leave their region.');
  return { type: 'ResolvedRefs', status: 'True', reason: Reason.Resolved, message: 'Members and key are found.' };
}

function probesFresh(observed: MeshObservation, plan: MeshPlan): MeshCondition {
  const relays = relaysSeen(observed);
  const silent = relays.filter((relay) => !relay.fresh).map((relay) => relay.name);
  const verdict = (status: MeshCondition['status'], reason: string, message: string): MeshCondition => ({
    type: 'ProbesFresh',
    status,
    reason,
    message,
  });
  if (silent.length === relays.length) return verdict('Unknown', Reason.NoProbesYet, 'No relay is connected to control yet.');
  if (silent.length > 0) {
    return verdict(
      'False',
      Reason.NodesSilent,
      `Not connected to control, so their last measurements stand: ${some(silent)}. Look at these pods, then at control.`,
    );
  }
  const measured = relayLinks(observed, plan.links).length;
  const expected = expectedLinks(observed, plan);
  if (measured < expected)
    return verdict('False', Reason.LinksUnmeasured, `${expected - measured} of ${expected} trunks have no measurement yet.`);
  if (plan.leftOut.links > 0) {
    return verdict(
      'False',
      Reason.LinksTruncated,
      `${plan.leftOut.links} pairs of relays do not probe each other, since a node has at most ${MAX_NODE_PEERS} peers: use fewer relays.`,
    );
  }
  const unknown = relays.filter(({ utilizationPercent }) => utilizationPercent === undefined).map(({ name }) => name);
  const note =
    unknown.length === 0
      ? ''
      : ` The load of ${some(unknown)} is unknown: routes take it for ${UNKNOWN_UTILIZATION_PERCENT} percent of its capacity.`;
  return verdict('True', Reason.AllFresh, `${expected} trunks are measured.${note}`);
}

function programmed(observed: MeshObservation, plan: MeshPlan, { behind, refused }: Programming): MeshCondition {
  const verdict = (status: MeshCondition['status'], reason: string, message: string): MeshCondition => ({
    type: 'Programmed',
    status,
    reason,
    message,
  });
  if (refused.size > 0) {
    const nodes = [...refused.keys()].sort();
    return verdict(
      'False',
      Reason.NodesRefused,
      `The API refuses the configuration of ${some(nodes)}, which keep what they had: ${refused.get(nodes[0] as string)}`,
    );
  }
  if (plan.unreachable.length > 0) {
    const pairs = unreachablePairs(plan.unreachable);
    return verdict(
      'False',
      Reason.Unreachable,
      `No path from ${some(pairs)}. Look at status.links and at the policy's via and avoid.`,
    );
  }
  if (plan.leftOut.routes > 0) {
    const { routes, regions } = plan.leftOut;
    return verdict(
      'False',
      Reason.RoutesTruncated,
      `${routes} routes into ${some(regions)} are left out, since a node holds at most ${MAX_NODE_ROUTES}: use fewer different spec.path in StreamRoutes, or fewer regions with publishers.`,
    );
  }
  const seen = observed.nodes.filter((node) => node.seen);
  if (seen.length === 0) return verdict('Unknown', Reason.AwaitingNodes, 'No node is connected to control yet.');
  const waiting = seen.filter((node) => !node.acknowledged || behind.has(node.name));
  if (waiting.length === 0) return verdict('True', Reason.AllAcknowledged, `${seen.length} nodes run their configuration.`);
  return verdict(
    waiting.some((node) => node.fresh) ? 'False' : 'Unknown',
    Reason.AwaitingNodes,
    `Not acknowledged yet by ${some(namesOf(waiting))}.`,
  );
}

/** Each pair of regions once, with its policies unless all of them fail. */
function unreachablePairs(unreachable: MeshPlan['unreachable']): string[] {
  const policies = new Map<string, string[]>();
  for (const { from, to, policy } of unreachable) {
    const pair = `${from} to ${to}`;
    policies.set(pair, [...(policies.get(pair) ?? []), policy]);
  }
  return [...policies].map(([pair, keys]) => {
    // When the default policy finds no path, no stricter policy does.
    if (keys.includes(DEFAULT_PATH_POLICY_KEY)) return pair;
    return `${pair} (${keys.length > 1 ? 'policies' : 'policy'} ${some(keys)})`;
  });
}

function namesOf(nodes: readonly MeshNode[]): string[] {
  return nodes.map((node) => node.name).sort();
}

function some(names: readonly string[]): string {
  const shown = names.slice(0, NAMED).join(', ');
  return names.length > NAMED ? `${shown} and ${names.length - NAMED} more` : shown;
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}
