import type { MediaEdge, MediaNode, RelayMesh } from '@millrace/api';
import { isTrue } from '@millrace/kube';
import type { MeshNode, MeshObservation } from './model.ts';
import { routeKey } from './plan.ts';
import type { Challenge, LinkReport } from './routing/index.ts';
import { selects } from './selector.ts';
import type { StreamPolicies } from './stream-policies.ts';

/** The resources that concern one mesh, as the caches show them. */
export interface MeshResources {
  readonly mesh: RelayMesh;
  /** MediaEdges of the namespace. */
  readonly edges: readonly MediaEdge[];
  /** MediaNodes of the namespace. */
  readonly nodes: readonly MediaNode[];
  /** What the StreamRoutes of the namespace ask for. */
  readonly streamPolicies: StreamPolicies;
  /** Whether a replica of control is alive. */
  readonly isReplicaAlive: (replica: string | undefined) => boolean;
}

/** The MediaEdges that belong to a mesh: they name it, and its selector admits them. */
function membersOf(mesh: RelayMesh, edges: readonly MediaEdge[]): MediaEdge[] {
  return edges.filter(
    (edge) => edge.spec.meshRef?.name === mesh.metadata.name && selects(mesh.spec.members.selector, edge.metadata.labels ?? {}),
  );
}

/** What the controller remembers from the last plan. */
export interface Remembered {
  readonly challenges: ReadonlyMap<string, Challenge>;
  /** When each route was chosen, also for routes that did not fit into status. */
  readonly since: ReadonlyMap<string, number>;
}

/** Extracts from the resources what the planner needs. */
export function observeMesh(resources: MeshResources, remembered: Remembered): MeshObservation {
  const { mesh } = resources;
  const { routing } = mesh.spec;
  const edges = new Map(membersOf(mesh, resources.edges).map((edge) => [edge.metadata.name, edge]));
  const members = resources.nodes.filter((node) => edges.has(node.spec.edge));
  return {
    nodes: members.map((node) => observeNode(node, edges.get(node.spec.edge) as MediaEdge, resources.isReplicaAlive)),
    reports: members.flatMap((node) => reportsOf(node, isFresh(node, resources.isReplicaAlive))),
    routing: {
      maxHops: routing.maxHops,
      paths: routing.paths,
      weights: routing.weights,
      hysteresis: {
        improvementPercent: routing.hysteresis.improvementPercent,
        windows: routing.hysteresis.windows,
        dwellMs: routing.hysteresis.dwellSeconds * 1_000,
      },
    },
    policies: resources.streamPolicies.policies,
    preconfigured: mesh.spec.routes ?? [],
    inUse: resources.streamPolicies.inUse,
    since: new Map([...sinceOf(mesh), ...remembered.since]),
    challenges: remembered.challenges,
  };
}

function observeNode(node: MediaNode, edge: MediaEdge, isReplicaAlive: MeshResources['isReplicaAlive']): MeshNode {
  const { spec, status } = node;
  const egressMbps = status?.load?.egressMbps;
  return {
    name: node.metadata.name,
    edge: spec.edge,
    region: spec.region,
    provider: spec.provider,
    roles: new Set(spec.roles),
    priceCentsPerGb: Number(edge.spec.capacity.egressCostPerGb ?? 0) * 100,
    utilizationPercent: egressMbps === undefined ? undefined : (egressMbps / spec.capacity.egressMbps) * 100,
    fresh: isFresh(node, isReplicaAlive),
    seen: status?.agent !== undefined,
    leaving: spec.cordoned || spec.drain !== undefined,
    relays: spec.relays ?? [],
    routes: spec.routes ?? [],
    acknowledged: status?.programmedGeneration !== undefined && status.programmedGeneration === node.metadata.generation,
  };
}

/** Whether the node is connected to a live replica of control, so that its status is current. */
function isFresh(node: MediaNode, isReplicaAlive: MeshResources['isReplicaAlive']): boolean {
  return isTrue(node.status?.conditions, 'AgentConnected') && isReplicaAlive(node.status?.agent?.replica);
}

function reportsOf(node: MediaNode, fresh: boolean): LinkReport[] {
  return (node.status?.links ?? []).map((link) => ({
    from: node.metadata.name,
    to: link.peer,
    state: link.state,
    rttMs: link.rttMs ?? 0,
    jitterMs: link.jitterMs ?? 0,
    lossPercent: link.lossPercent ?? 0,
    fresh,
  }));
}

function sinceOf(mesh: RelayMesh): ReadonlyMap<string, number> {
  const routes = (mesh.status?.routes ?? []).filter((route) => route.since !== undefined);
  return new Map(routes.map((route) => [routeKey(route.from, route.to, route.policy), Date.parse(route.since as string)]));
}
