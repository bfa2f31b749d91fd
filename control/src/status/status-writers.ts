import type { MediaNode, MediaNodeStatus, StreamRoute } from '@millrace/api';
import { mediaNodes, streamRoutes } from '@millrace/api';
import {
  findCondition,
  isNotFound,
  isRefusal,
  setCondition,
  type Fields,
  type KubeClient,
  type KubeObject,
  type Resource,
} from '@millrace/kube';
import type { Clock, Logger, Timer } from '@millrace/service';
import type { Cluster } from '../cluster/index.ts';
import type { Fleet } from '../fleet/index.ts';
import type { ControlMetrics } from '../metrics.ts';
import type { LiveStreams } from '../streams/index.ts';
import { BandedWriter } from './banded-writer.ts';
import { mediaNodeDifference, streamRouteDifference } from './bands.ts';
import { mediaNodeStatus, refusedNodeStatus } from './media-node-status.ts';
import type { ReplicaLease } from './replica-lease.ts';
import { countsOf, streamRouteStatus, type StreamRouteRuntime } from './stream-route-status.ts';

const FIELD_MANAGER = 'millrace-control';
/** A node that reconnects within this time counts as connected throughout, ms. */
const RECONNECT_MS = 3000;
/** How often the refusal of one node is written, ms. */
const REFUSED_EVERY_MS = 5000;
const ROUTES_EVERY_MS = 1000;
const ORPHANS_EVERY_MS = 10_000;
/** Delay after the start, ms: nodes reconnect to this replica first. */
const ORPHANS_AFTER_MS = 30_000;

interface Mine {
  connected: boolean;
  reason?: string;
  programmedGeneration?: number | undefined;
  timer?: Timer;
}

export interface StatusWritersOptions {
  client: KubeClient;
  namespace: string;
  replica: string;
  cluster: Cluster;
  fleet: Fleet;
  streams: LiveStreams;
  lease: ReplicaLease;
  metrics: ControlMetrics;
  clock: Clock;
  random: () => number;
  logger: Logger;
}

/** Writes the status of the nodes of this replica, and of the StreamRoutes assigned to it. */
export class StatusWriters {
  readonly #options: StatusWritersOptions;
  readonly #nodes: BandedWriter<MediaNodeStatus>;
  readonly #routes: BandedWriter<StreamRouteRuntime>;
  readonly #mine = new Map<string, Mine>();
  readonly #dirtyRoutes = new Set<string>();
  /** By node, ms. */
  readonly #refusedAt = new Map<string, number>();
  readonly #startedAt: number;
  #routesTimer: Timer | undefined;
  #orphansTimer: Timer | undefined;

  constructor(options: StatusWritersOptions) {
    this.#options = options;
    const { clock, random, fleet, streams } = options;
    this.#startedAt = clock.now();
    this.#nodes = new BandedWriter({
      difference: mediaNodeDifference,
      write: (name, status) =>
        this.#write<MediaNode>(mediaNodes, name, { status }, (why) => ({ status: refusedNodeStatus(status, why, clock.wall()) })),
      clock,
      random,
    });
    this.#routes = new BandedWriter<StreamRouteRuntime>({
      difference: streamRouteDifference,
      write: (name, status) => this.#write<StreamRoute>(streamRoutes, name, { status }, () => ({ status: countsOf(status) })),
      clock,
      random,
    });
    fleet.watch((change) => {
      if (change.type === 'spec-gone') this.#forgetNode(change.node);
      else if (change.type === 'spec') this.#offerNode(change.node);
      else {
        for (const stream of change.streams) this.#markRoute(streams.ruleOf(stream)?.name);
        if (change.type === 'presence') this.#heard(change.node);
      }
    });
    streams.watch(({ rule, ruleBefore }) => {
      this.#markRoute(rule?.name);
      this.#markRoute(ruleBefore);
    });
    options.cluster.routes.subscribe(({ type, object }) => {
      if (type === 'deleted') this.#routes.forget(object.metadata.name);
      else if (type === 'added') this.#markRoute(object.metadata.name);
    });
  }

  start(): void {
    const { clock } = this.#options;
    const routes = (): void => {
      this.#offerRoutes();
      this.#routesTimer = clock.setTimeout(routes, ROUTES_EVERY_MS);
    };
    const orphans = (): void => {
      this.#judgeOrphans();
      this.#orphansTimer = clock.setTimeout(orphans, ORPHANS_EVERY_MS);
    };
    routes();
    orphans();
  }

  stop(): void {
    const { clock } = this.#options;
    clock.clearTimeout(this.#routesTimer);
    clock.clearTimeout(this.#orphansTimer);
    for (const node of [...this.#mine.keys()]) this.#forgetNode(node);
    this.#nodes.stop();
    this.#routes.stop();
  }

  connected(node: string): void {
    const { cluster, namespace, fleet, clock } = this.#options;
    clock.clearTimeout(this.#mine.get(node)?.timer);
    const status = cluster.nodes.store.get(`${namespace}/${node}`)?.status;
    const sameProcess = status?.agent?.bootId === fleet.presence(node)?.hello.bootId;
    const programmedGeneration =
      this.#mine.get(node)?.programmedGeneration ?? (sameProcess ? status?.programmedGeneration : undefined);
    this.#mine.set(node, { connected: true, programmedGeneration });
    this.#offerNode(node);
  }

  /** The node counts as connected until it has had the time to reconnect. */
  disconnected(node: string, reason: string): void {
    const mine = this.#mine.get(node);
    if (!mine) return;
    mine.timer = this.#options.clock.setTimeout(() => {
      mine.connected = false;
      mine.reason = reason;
      this.#offerNode(node);
    }, RECONNECT_MS);
    mine.timer.unref();
  }

  /** Control takes no connection from the node's pod. Shown unless another process of the node is connected, at most every REFUSED_EVERY_MS. */
  refused(node: string, reason: string): void {
    const { cluster, namespace, fleet, clock } = this.#options;
    if (fleet.isConnected(node) || clock.now() - (this.#refusedAt.get(node) ?? -Infinity) < REFUSED_EVERY_MS) return;
    const object = cluster.nodes.store.get(`${namespace}/${node}`);
    if (!object) return;
    this.#refusedAt.set(node, clock.now());
    const { status, metadata } = object;
    const judgement = {
      type: 'AgentConnected',
      status: 'False' as const,
      reason: 'Refused',
      message: `Control refuses the connection: ${reason}`,
      observedGeneration: metadata.generation ?? 0,
    };
    const refused = { ...status, conditions: [...setCondition(status?.conditions, judgement, clock.wall())] };
    const reduce = (why: string): object => ({ status: refusedNodeStatus(refused, why, clock.wall()) });
    void this.#write<MediaNode>(mediaNodes, node, { status: refused }, reduce).catch(() => {});
  }

  programmed(node: string, generation: number): void {
    const mine = this.#mine.get(node);
    if (!mine) {
      this.#mine.set(node, { connected: true, programmedGeneration: generation });
      return;
    }
    if (mine.programmedGeneration === generation) return;
    mine.programmedGeneration = generation;
    this.#offerNode(node);
  }

  #heard(node: string): void {
    const { fleet, replica } = this.#options;
    if (!this.#mine.has(node)) return;
    if (fleet.presence(node)?.replica === replica) this.#offerNode(node);
    // Another replica holds the connection now, and writes the status.
    else this.#forgetNode(node);
  }

  #forgetNode(node: string): void {
    this.#options.clock.clearTimeout(this.#mine.get(node)?.timer);
    this.#mine.delete(node);
    this.#refusedAt.delete(node);
    this.#nodes.forget(node);
  }

  #offerNode(node: string): void {
    const { fleet, cluster, namespace, clock } = this.#options;
    const mine = this.#mine.get(node);
    const spec = fleet.spec(node);
    const presence = fleet.presence(node);
    if (!mine || !spec || !presence) return;
    const standing = cluster.nodes.store.get(`${namespace}/${node}`)?.status;
    const conditions = (this.#nodes.written(node) ?? standing)?.conditions;
    const { connected, reason: disconnectReason, programmedGeneration } = mine;
    const status = mediaNodeStatus({
      spec,
      presence,
      connected,
      disconnectReason,
      programmedGeneration,
      conditions,
      nowMs: clock.wall(),
    });
    this.#nodes.offer(node, status, standing);
  }

  #markRoute(name: string | undefined): void {
    if (name !== undefined) this.#dirtyRoutes.add(name);
  }

  /** Writes the StreamRoutes that have changed. */
  #offerRoutes(): void {
    const { cluster, namespace, lease, streams, fleet } = this.#options;
    if (!cluster.routes.hasSynced) return;
    for (const name of this.#dirtyRoutes) {
      const route = cluster.routes.store.get(`${namespace}/${name}`);
      if (!route) continue;
      const { status } = route;
      const active = streams.ofRule(name);
      if (!lease.owns(name)) {
        this.#routes.forget(name);
        continue;
      }
      const facts = [...active].map((stream) => ({ entry: streams.get(stream)!, carriers: fleet.carriers(stream) }));
      const desired = streamRouteStatus(facts, (node) => fleet.spec(node)?.region);
      const { activeStreams, viewers, streams: shown } = status ?? {};
      const standing = activeStreams === undefined ? undefined : { activeStreams, viewers: viewers ?? 0, streams: shown ?? [] };
      this.#routes.offer(name, desired, standing);
    }
    this.#dirtyRoutes.clear();
  }

  /** Nodes whose replica is gone and that no other replica holds: sets their conditions to Unknown and keeps the rest of their status. */
  #judgeOrphans(): void {
    const { cluster, lease, fleet, clock } = this.#options;
    if (!cluster.hasSynced || !lease.hasSynced || clock.now() - this.#startedAt < ORPHANS_AFTER_MS) return;
    for (const { metadata, status } of cluster.nodes.store.list()) {
      const { name, generation } = metadata;
      const replica = status?.agent?.replica;
      const connected = findCondition(status?.conditions, 'AgentConnected')?.status;
      if (!replica || connected !== 'True' || fleet.presence(name) || lease.isLive(replica) || !lease.owns(name)) continue;
      const message = `${replica}, which held its connection, is gone`;
      const judgement = {
        type: 'AgentConnected',
        status: 'Unknown' as const,
        reason: 'ReplicaGone',
        message,
        observedGeneration: generation ?? 0,
      };
      const orphaned = { ...status, conditions: [...setCondition(status.conditions, judgement, clock.wall())] };
      const reduce = (why: string): object => ({ status: refusedNodeStatus(orphaned, why, clock.wall()) });
      void this.#write<MediaNode>(mediaNodes, name, { status: orphaned }, reduce).catch(() => {});
    }
  }

  /**
   * Applies the whole part of a status that control owns; fields left out are released. When the API rejects it, applies what `reduce` returns,
   * so that no outdated status stays. Resolves to false when the object is gone.
   */
  async #write<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    fields: object,
    reduce: (why: string) => object,
  ): Promise<boolean> {
    const { client, namespace, metrics, logger } = this.#options;
    const end = metrics.statusWriteSeconds.startTimer();
    const apply = async (applied: object): Promise<void> => {
      const object = { metadata: { namespace, name }, ...applied } as unknown as Fields<T>;
      const options = { fieldManager: FIELD_MANAGER, force: true, subresource: 'status', timeoutMs: 10_000 } as const;
      await client.apply(resource, object, options);
    };
    try {
      await apply(fields);
      metrics.statusWrites.inc({ kind: resource.kind, outcome: 'written' });
      return true;
    } catch (err) {
      if (isNotFound(err)) return false;
      metrics.statusWrites.inc({ kind: resource.kind, outcome: 'failed' });
      if (isRefusal(err)) {
        logger.error({ err, kind: resource.kind, item: name }, 'the API refuses a status; a shorter one takes its place');
        await apply(reduce(`${err.reason}: ${err.message}`));
      } else logger.warn({ err, kind: resource.kind, item: name }, 'status not written');
      throw err;
    } finally {
      end();
    }
  }
}
