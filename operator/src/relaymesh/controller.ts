import type { MediaEdge, MediaNode, RelayMesh, RelayMeshStatus, StreamRoute } from '@millrace/api';
import { mediaNodes, relayMeshes } from '@millrace/api';
import type { Controller, Informer, ReconcileContext } from '../kube/index.ts';
import { isPaused } from '../paused.ts';
import { Applier, createController, objectKey, PendingWrites, trigger } from '../kube/index.ts';
import type { ControlReplicas } from '../liveness/control-replicas.ts';
import type { TermDependencies } from '../term.ts';
import type { MeshObservation, NodeProgram } from './model.ts';
import { observeMesh } from './observe.ts';
import type { MeshPlan } from './plan.ts';
import { planMesh, routeKey } from './plan.ts';
import { Reason } from './reasons.ts';
import type { Challenge } from './routing/index.ts';
import { EVALUATION_WINDOW_MS } from './routing/index.ts';
import type { KeyState } from './status.ts';
import { meshStatus, pausedMeshStatus } from './status.ts';
import { ensureTrunkKey } from './trunk-key.ts';

const FIELD_MANAGER = 'millrace-relaymesh';

/** A mesh is planned at most so often, whatever its nodes report: planning costs as much as the mesh is large. */
const LEAST_BETWEEN_PLANS_MS = 500;
/** Looked at again without any news, so that a better route is seen and a changed Secret found. */
const RECHECK_MS = 30_000;

/** What the RelayMesh controller looks at. */
export interface RelayMeshDependencies extends TermDependencies {
  readonly meshes: Informer<RelayMesh>;
  readonly edges: Informer<MediaEdge>;
  readonly nodes: Informer<MediaNode>;
  readonly streamRoutes: Informer<StreamRoute>;
  readonly replicas: ControlReplicas;
}

/** What a mesh's controller remembers between two looks; losing it costs time, never correctness. */
interface Memory {
  plannedAt: number;
  keyCheckedAt: number;
  key: KeyState;
  challenges: ReadonlyMap<string, Challenge>;
  primaries: ReadonlyMap<string, string>;
}

/** Reconciles RelayMeshes: measures judged, routes planned, programmed into MediaNodes, status told. Keys are `namespace/name`. */
export function createRelayMeshController(deps: RelayMeshDependencies): Controller {
  const reconciler = new RelayMeshReconciler(deps);
  const meshOfEdge = (edge: MediaEdge) => (edge.spec.meshRef ? [`${edge.metadata.namespace}/${edge.spec.meshRef.name}`] : []);
  const controller = createController({
    name: 'relaymesh',
    fence: deps.fence,
    logger: deps.logger,
    clock: deps.clock,
    random: deps.random,
    metrics: deps.metrics,
    reconcile: (key, context) => reconciler.reconcile(key, context),
    watches: [
      trigger(deps.meshes, (mesh) => [objectKey(mesh)]),
      trigger(deps.edges, meshOfEdge),
      trigger(deps.nodes, (node) => {
        const edge = deps.edges.store.get(`${node.metadata.namespace}/${node.spec.edge}`);
        return edge ? meshOfEdge(edge) : [];
      }),
      trigger(deps.streamRoutes, (route) =>
        deps.meshes.store
          .list()
          .filter((mesh) => mesh.metadata.namespace === route.metadata.namespace)
          .map(objectKey),
      ),
    ],
  });
  return {
    ...controller,
    run: async (signal) => {
      try {
        await controller.run(signal);
      } finally {
        reconciler.close();
      }
    },
  };
}

class RelayMeshReconciler {
  readonly #deps: RelayMeshDependencies;
  readonly #applier: Applier;
  /** A status is judged by the one before: while the cache is late, by the one that was written. */
  readonly #writes: PendingWrites<RelayMesh>;
  readonly #memories = new Map<string, Memory>();

  constructor(deps: RelayMeshDependencies) {
    this.#deps = deps;
    this.#applier = new Applier(deps.client, FIELD_MANAGER);
    const { client, clock, logger, metrics } = deps;
    this.#writes = new PendingWrites({ informer: deps.meshes, client, clock, logger, metrics });
  }

  close(): void {
    this.#writes.close();
  }

  async reconcile(key: string, { signal }: ReconcileContext): Promise<{ requeueAfterMs?: number }> {
    const cached = this.#deps.meshes.store.get(key);
    if (!cached || cached.metadata.deletionTimestamp) {
      this.#memories.delete(key);
      return {};
    }
    await this.#writes.verify(key, signal);
    const mesh = this.#writes.view(key, [cached]).objects[0] ?? cached;
    if (isPaused(mesh)) {
      await this.#writeStatus(mesh, pausedMeshStatus(mesh, this.#deps.clock.wall()), signal);
      return {};
    }
    const memory = this.#memories.get(key);
    const sinceLastMs = this.#deps.clock.now() - (memory?.plannedAt ?? -Infinity);
    if (sinceLastMs < LEAST_BETWEEN_PLANS_MS) return { requeueAfterMs: LEAST_BETWEEN_PLANS_MS - sinceLastMs };

    const nodes = this.#nodesOf(mesh);
    const next = await this.#checkKey(mesh, memory, signal);
    const observed = observeMesh(
      {
        mesh,
        edges: inNamespace(this.#deps.edges, mesh),
        nodes,
        streamRoutes: inNamespace(this.#deps.streamRoutes, mesh),
        isReplicaAlive: (replica) => this.#deps.replicas.isAlive(replica),
      },
      next.challenges,
    );
    const now = this.#deps.clock.wall();
    const plan = planMesh(observed, now);
    await this.#program(nodes, observed, plan, signal);
    await this.#tellStatus(mesh, observed, plan, next.key, signal);
    this.#tellChanges(mesh, next.primaries, plan);
    this.#memories.set(key, {
      ...next,
      plannedAt: this.#deps.clock.now(),
      challenges: plan.challenges,
      primaries: primariesOf(plan),
    });
    return { requeueAfterMs: plan.challenges.size > 0 ? EVALUATION_WINDOW_MS : RECHECK_MS };
  }

  #nodesOf(mesh: RelayMesh): MediaNode[] {
    return inNamespace(this.#deps.nodes, mesh).filter((node) => !node.metadata.deletionTimestamp);
  }

  async #checkKey(mesh: RelayMesh, memory: Memory | undefined, signal: AbortSignal): Promise<Memory> {
    const now = this.#deps.clock.now();
    if (memory?.key.ok && now - memory.keyCheckedAt < RECHECK_MS) return memory;
    const key = await ensureTrunkKey(this.#deps.client, mesh, signal);
    if (key.created)
      this.#deps.recorder.event(mesh, {
        type: 'Normal',
        reason: Reason.KeyCreated,
        message: 'Made a random key for the trunks.',
      });
    return { plannedAt: 0, challenges: new Map(), primaries: new Map(), ...memory, key, keyCheckedAt: now };
  }

  async #program(nodes: readonly MediaNode[], observed: MeshObservation, plan: MeshPlan, signal: AbortSignal): Promise<void> {
    const members = new Set(observed.nodes.map((node) => node.name));
    for (const node of nodes) {
      const program = plan.programs.get(node.metadata.name);
      if (!members.has(node.metadata.name) || !program || isProgrammed(node, program)) continue;
      const { name, namespace } = node.metadata;
      const wish = {
        apiVersion: 'millrace.dev/v1alpha1',
        kind: 'MediaNode',
        metadata: { name, namespace },
        spec: specOf(program),
      };
      await this.#applier.apply(mediaNodes, wish as unknown as MediaNode, node, { signal });
    }
  }

  async #tellStatus(
    mesh: RelayMesh,
    observed: MeshObservation,
    plan: MeshPlan,
    key: KeyState,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#writeStatus(mesh, meshStatus(mesh, observed, plan, key, this.#deps.clock.wall()), signal);
  }

  async #writeStatus(mesh: RelayMesh, status: RelayMeshStatus, signal: AbortSignal): Promise<void> {
    const { name, namespace } = mesh.metadata;
    const wish = { apiVersion: 'millrace.dev/v1alpha1', kind: 'RelayMesh', metadata: { name, namespace }, status };
    await this.#writes.update(
      objectKey(mesh),
      async () =>
        (await this.#applier.apply(relayMeshes, wish as unknown as RelayMesh, mesh, { signal, subresource: 'status' })).object,
    );
  }

  /** Events on transitions only: a route that moved, a pair that lost its last path. */
  #tellChanges(mesh: RelayMesh, before: ReadonlyMap<string, string>, plan: MeshPlan): void {
    const after = primariesOf(plan);
    for (const [route, hops] of after) {
      const old = before.get(route);
      if (old !== undefined && old !== hops) {
        this.#deps.recorder.event(mesh, {
          type: 'Normal',
          reason: Reason.RouteChanged,
          message: `Route ${route} goes over ${hops} instead of ${old}.`,
        });
      }
    }
    for (const route of before.keys()) {
      if (after.has(route) || !plan.unreachable.some((lost) => routeKey(lost.from, lost.to, lost.policy) === route)) continue;
      this.#deps.recorder.event(mesh, { type: 'Warning', reason: Reason.RouteLost, message: `Route ${route} has no path left.` });
    }
  }
}

function primariesOf(plan: MeshPlan): ReadonlyMap<string, string> {
  return new Map(
    plan.routes.map((route) => [routeKey(route.from, route.to, route.policy), [...route.primary.hops].reverse().join(', ')]),
  );
}

/** Whether the node holds this program already; costs alone are no reason to write. */
function isProgrammed({ spec }: MediaNode, program: NodeProgram): boolean {
  const shape = (value: Pick<NodeProgram, 'relays' | 'peers' | 'routes'>) =>
    JSON.stringify([
      value.relays,
      value.peers.map((peer) => [peer.node, peer.region]),
      value.routes.map((route) => [route.originRegion, route.policy, route.paths.map((path) => path.hops)]),
    ]);
  return shape({ relays: spec.relays ?? [], peers: spec.peers ?? [], routes: spec.routes ?? [] }) === shape(program);
}

function specOf(program: NodeProgram): Pick<MediaNode['spec'], 'relays' | 'peers' | 'routes'> {
  return {
    relays: [...program.relays],
    peers: program.peers.map((peer) => ({ ...peer })),
    routes: program.routes.map((route) => ({
      originRegion: route.originRegion,
      policy: route.policy,
      paths: route.paths.map((path) => ({ hops: [...path.hops], costMs: path.costMs })),
    })),
  };
}

function inNamespace<T extends { metadata: { namespace?: string } }>(informer: Informer<T & object>, mesh: RelayMesh): T[] {
  return informer.store.list().filter((object) => object.metadata.namespace === mesh.metadata.namespace);
}
