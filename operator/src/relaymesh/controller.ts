import type { MediaEdge, MediaNode, RelayMesh, RelayMeshStatus, StreamRoute } from '@millrace/api';
import { mediaNodes, relayMeshes } from '@millrace/api';
import type { Controller, Informer, ReconcileContext } from '@millrace/kube';
import { Attempts, whyRefused } from '../attempts.ts';
import { isPaused } from '../paused.ts';
import { applyStatus } from '../apply-status.ts';
import { Applier, createController, isRefusal, objectKey, PendingWrites, trigger } from '@millrace/kube';
import type { ControlReplicas } from '../liveness/control-replicas.ts';
import type { TermDependencies } from '../term.ts';
import type { NodeProgram } from './model.ts';
import { observeMesh } from './observe.ts';
import type { MeshPlan } from './plan.ts';
import { planMesh, routeKey } from './plan.ts';
import { Reason } from './reasons.ts';
import type { Challenge } from './routing/index.ts';
import { EVALUATION_WINDOW_MS } from './routing/index.ts';
import type { KeyState, Programming } from './status.ts';
import { meshStatus, pausedMeshStatus } from './status.ts';
import { StreamPolicies } from './stream-policies.ts';
import { ensureTrunkKey } from './trunk-key.ts';

const FIELD_MANAGER = 'millrace-relaymesh';

/** Minimum interval between two plans of a mesh, ms: the cost of a plan grows with the mesh. */
const MIN_PLAN_INTERVAL_MS = 500;
/** Interval of reconciles without an event, ms: they notice better routes and changed Secrets. */
const RECHECK_MS = 30_000;

/** Delay before a failed write of a MediaNode is retried, ms. */
const RETRY_MS = 2_000;

/** Dependencies of the RelayMesh controller. */
export interface RelayMeshDependencies extends TermDependencies {
  readonly meshes: Informer<RelayMesh>;
  readonly edges: Informer<MediaEdge>;
  readonly nodes: Informer<MediaNode>;
  readonly streamRoutes: Informer<StreamRoute>;
  readonly replicas: ControlReplicas;
}

/** State of a mesh between two reconciles. Losing it costs time, never correctness. */
interface Memory {
  plannedAt: number;
  keyCheckedAt: number;
  key: KeyState;
  challenges: ReadonlyMap<string, Challenge>;
  since: ReadonlyMap<string, number>;
  primaries: ReadonlyMap<string, string>;
  /** By node. */
  trials: ReadonlyMap<string, Trial>;
}

/** The last program written into a MediaNode that the cache does not show yet. A different program is written at once. */
interface Trial {
  readonly program: string;
  /** resourceVersion of the MediaNode in the cache at that time. A later one is written to at once, unless the API refused this one. */
  readonly resourceVersion: string | undefined;
  /** The error with which the API refused it. */
  readonly why: string | undefined;
  /** When to retry (monotonic, ms): the cache may be late, or the API may accept the write now. */
  readonly retryAt: number;
}

/** Reconciles RelayMeshes: evaluates the measurements, plans routes, programs MediaNodes and writes status. Keys are `namespace/name`. */
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
      {
        whenSynced: (signal) => deps.streamRoutes.whenSynced(signal),
        subscribe: (enqueue) =>
          deps.streamRoutes.subscribe((change) => {
            const { namespace = '' } = change.object.metadata;
            if (!reconciler.streamPoliciesOf(namespace).apply(change)) return;
            for (const mesh of deps.meshes.store.list()) if (mesh.metadata.namespace === namespace) enqueue(objectKey(mesh));
          }),
      },
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
  /** The previous status from which conditions and events are derived: while the cache is late, the one that this process wrote. */
  readonly #writes: PendingWrites<RelayMesh>;
  readonly #memories = new Map<string, Memory>();
  readonly #streamPolicies = new Map<string, StreamPolicies>();

  constructor(deps: RelayMeshDependencies) {
    this.#deps = deps;
    this.#applier = new Applier(deps.client, FIELD_MANAGER);
    const { client, clock, logger, metrics } = deps;
    this.#writes = new PendingWrites({ informer: deps.meshes, client, clock, logger, metrics });
  }

  close(): void {
    this.#writes.close();
  }

  streamPoliciesOf(namespace: string): StreamPolicies {
    let policies = this.#streamPolicies.get(namespace);
    if (!policies) this.#streamPolicies.set(namespace, (policies = new StreamPolicies()));
    return policies;
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
    if (sinceLastMs < MIN_PLAN_INTERVAL_MS) return { requeueAfterMs: MIN_PLAN_INTERVAL_MS - sinceLastMs };

    const nodes = this.#nodesOf(mesh);
    const next = await this.#checkKey(mesh, memory, signal);
    const observed = observeMesh(
      {
        mesh,
        edges: inNamespace(this.#deps.edges, mesh),
        nodes,
        streamPolicies: this.streamPoliciesOf(mesh.metadata.namespace ?? ''),
        isReplicaAlive: (replica) => this.#deps.replicas.isAlive(replica),
      },
      next,
    );
    const plan = planMesh(observed, this.#deps.clock.wall());
    const attempts = new Attempts(signal);
    const tell = (programming: Programming): Promise<boolean> =>
      attempts.try('status', () =>
        this.#writeStatus(mesh, meshStatus(mesh, observed, plan, next.key, programming, this.#deps.clock.wall()), signal),
      );
    const behind = nodes.filter((node) => isBehind(node, plan));
    const before = { behind: namesOf(behind), refused: reasonsOf(next.trials, plan) };
    // Status is written first, so that no failing write leaves an outdated status standing, and again after the writes with their outcome.
    await tell(before);
    const trials = await this.#program(mesh, behind, plan, next.trials, attempts, signal);
    const refused = reasonsOf(trials, plan);
    if (!isSame(before.refused, refused)) await tell({ behind: before.behind, refused });
    this.#tellChanges(mesh, next.primaries, plan);
    this.#memories.set(key, {
      ...next,
      plannedAt: this.#deps.clock.now(),
      challenges: plan.challenges,
      since: new Map(plan.routes.map((route) => [routeKey(route.from, route.to, route.policy), route.since])),
      primaries: primariesOf(plan),
      trials,
    });
    attempts.throwFailures();
    const retryMs = [...trials.values()].map(({ retryAt }) => Math.max(1, retryAt - this.#deps.clock.now()));
    return { requeueAfterMs: Math.min(plan.challenges.size > 0 ? EVALUATION_WINDOW_MS : RECHECK_MS, ...retryMs) };
  }

  #nodesOf(mesh: RelayMesh): MediaNode[] {
    return inNamespace(this.#deps.nodes, mesh).filter((node) => !node.metadata.deletionTimestamp);
  }

  async #checkKey(mesh: RelayMesh, memory: Memory | undefined, signal: AbortSignal): Promise<Memory> {
    const now = this.#deps.clock.now();
    if (memory?.key.ok && now - memory.keyCheckedAt < RECHECK_MS) return memory;
    const key = await this.#ensureKey(mesh, signal);
    if (key.created)
      this.#deps.recorder.event(mesh, {
        type: 'Normal',
        reason: Reason.KeyCreated,
        message: 'Made a random key for the trunks.',
      });
    const { challenges, since, primaries, trials } = memory ?? NOTHING;
    return { plannedAt: 0, challenges, since, primaries, trials, key, keyCheckedAt: now };
  }

  /** Even when the key cannot be read or created, routes are programmed: established trunks keep working. */
  async #ensureKey(mesh: RelayMesh, signal: AbortSignal): Promise<KeyState & { created?: boolean }> {
    try {
      return await ensureTrunkKey(this.#deps.client, mesh, signal);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return {
        ok: false,
        reason: Reason.SecretUnavailable,
        message: `The API refuses the Secret of the key: ${whyRefused(error)}`,
      };
    }
  }

  /** Programs the nodes one by one; the failure of one does not stop the others. Returns the writes that the cache does not show yet. */
  async #program(
    mesh: RelayMesh,
    behind: readonly MediaNode[],
    plan: MeshPlan,
    before: ReadonlyMap<string, Trial>,
    attempts: Attempts,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Trial>> {
    const { clock, logger, recorder } = this.#deps;
    const trials = new Map<string, Trial>();
    for (const node of behind) {
      const { name } = node.metadata;
      const program = plan.programs.get(name) as NodeProgram;
      const known = before.get(name);
      const { resourceVersion } = node.metadata;
      if (known && isWaitingFor(known, shapeOf(program), resourceVersion, clock.now())) {
        trials.set(name, known);
        continue;
      }
      const tried = { program: shapeOf(program), resourceVersion };
      let why: string | undefined;
      const isWritten = await attempts.try(name, async () => {
        try {
          await this.#programNode(node, program, signal);
        } catch (error) {
          if (isRefusal(error)) why = whyRefused(error);
          throw error;
        }
      });
      trials.set(name, { ...tried, why, retryAt: clock.now() + (isWritten || why !== undefined ? RECHECK_MS : RETRY_MS) });
      if (why === undefined) continue;
      logger.error({ mesh: objectKey(mesh), node: name, why }, 'the API refuses the configuration of a node');
      if (known?.why === why) continue;
      const message = `The API refuses the configuration of ${name}: ${why}`;
      recorder.event(mesh, { type: 'Warning', reason: Reason.NodeRefused, message });
      recorder.event(node, { type: 'Warning', reason: Reason.NodeRefused, message });
    }
    return trials;
  }

  async #programNode(node: MediaNode, program: NodeProgram, signal: AbortSignal): Promise<void> {
    const { name, namespace } = node.metadata;
    const desired = {
      apiVersion: 'millrace.dev/v1alpha1',
      kind: 'MediaNode',
      metadata: { name, namespace },
      spec: specOf(program),
    };
    await this.#applier.apply(mediaNodes, desired as unknown as MediaNode, node, { signal });
  }

  async #writeStatus(mesh: RelayMesh, status: RelayMeshStatus, signal: AbortSignal): Promise<void> {
    const { name, namespace } = mesh.metadata;
    const apply = async (told: RelayMeshStatus): Promise<RelayMesh> => {
      const desired = { apiVersion: 'millrace.dev/v1alpha1', kind: 'RelayMesh', metadata: { name, namespace }, status: told };
      const options = { signal, subresource: 'status' } as const;
      return (await this.#applier.apply(relayMeshes, desired as unknown as RelayMesh, mesh, options)).object;
    };
    await this.#writes.update(objectKey(mesh), () => applyStatus(status, this.#deps.clock.wall(), apply));
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

/** Whether the last attempt was for this program and this version of the object, and the retry is not due yet. */
function isWaitingFor(known: Trial, program: string, resourceVersion: string | undefined, now: number): boolean {
  const isSameVersion = known.why !== undefined || known.resourceVersion === resourceVersion;
  return known.program === program && isSameVersion && now < known.retryAt;
}

const NOTHING: Pick<Memory, 'challenges' | 'since' | 'primaries' | 'trials'> = {
  challenges: new Map(),
  since: new Map(),
  primaries: new Map(),
  trials: new Map(),
};

/** A member whose MediaNode does not hold the planned program. */
function isBehind({ metadata, spec }: MediaNode, { programs }: MeshPlan): boolean {
  const program = programs.get(metadata.name);
  if (!program) return false;
  return shapeOf({ relays: spec.relays ?? [], peers: spec.peers ?? [], routes: spec.routes ?? [] }) !== shapeOf(program);
}

/** The parts of a program that justify a write. Changed costs alone do not. */
function shapeOf({ relays, peers, routes }: NodeProgram): string {
  return JSON.stringify([
    relays,
    peers.map((peer) => [peer.node, peer.region]),
    routes.map((route) => [route.originRegion, route.policy, route.paths.map((path) => path.hops)]),
  ]);
}

function namesOf(nodes: readonly MediaNode[]): ReadonlySet<string> {
  return new Set(nodes.map(({ metadata }) => metadata.name));
}

/** Why some nodes still lack their program. */
function reasonsOf(trials: ReadonlyMap<string, Trial>, { programs }: MeshPlan): ReadonlyMap<string, string> {
  const reasons = [...trials].flatMap(([name, { program, why }]) => {
    const planned = programs.get(name);
    return why !== undefined && planned !== undefined && shapeOf(planned) === program ? [[name, why] as const] : [];
  });
  return new Map(reasons);
}

function isSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([name, why]) => b.get(name) === why);
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
