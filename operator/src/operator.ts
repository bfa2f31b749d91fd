import {
  mediaEdges,
  mediaNodes,
  relayMeshes,
  streamRoutes,
  type MediaEdge,
  type MediaNode,
  type RelayMesh,
  type StreamRoute,
} from '@millrace/api';
import type { Clock, Logger, Readiness } from '@millrace/service';
import {
  EventRecorder,
  Informer,
  leases,
  LeaderElector,
  ServerClock,
  nodes,
  pods,
  type Controller,
  type KubeClient,
  type KubeMetrics,
  type KubeObject,
  type Lease,
  type Node,
  type Pod,
  type Resource,
  type Selection,
  type Indexer,
  type Term,
} from '@millrace/kube';
import { createControlTlsController, TrustVerdicts, type ControlTrust } from './control-tls/index.ts';
import { ControlReplicas } from './liveness/control-replicas.ts';
import {
  createMediaEdgeController,
  type EdgeMetrics,
  mediaNodeIndexers,
  NODE_LABEL,
  podIndexers,
  type PodSettings,
} from './mediaedge/index.ts';
import { createRelayMeshController } from './relaymesh/index.ts';
import { createStreamRouteController } from './streamroute/index.ts';

export interface OperatorOptions {
  readonly client: KubeClient;
  /** Holder identity in the Lease, unique for the life of this process. Default: host name and a UUID. */
  readonly identity?: string | undefined;
  /** Watches only this namespace; default all. */
  readonly namespace?: string | undefined;
  /** Where the Leases of the operator and of control's replicas live. */
  readonly leaseNamespace: string;
  readonly pods: PodSettings;
  /** How nodes verify control. */
  readonly trust: ControlTrust;
  /** Watch Kubernetes Nodes, so that the operator drains nodes on cordoned hosts. Requires permission to read Nodes. */
  readonly watchHosts: boolean;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: KubeMetrics;
  readonly edgeMetrics: EdgeMetrics;
}

const LEASE_NAME = 'millrace-operator';
const COMPONENT = 'millrace-operator';
/** Maximum time for the lists at the start of a leadership term, ms. */
const REFRESH_MS = 60_000;

/** Runs the caches in every replica, so that a new leader starts warm, and the controllers in the leader. */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #elector: LeaderElector;
  readonly #informers: Informer<KubeObject>[] = [];
  readonly #edges: Informer<MediaEdge>;
  readonly #meshes: Informer<RelayMesh>;
  readonly #routes: Informer<StreamRoute>;
  readonly #nodes: Informer<MediaNode>;
  readonly #pods: Informer<Pod>;
  readonly #leases: Informer<Lease>;
  readonly #hosts: Informer<Node> | undefined;
  readonly #replicas: ControlReplicas;
  #isLeading = false;

  constructor(options: OperatorOptions) {
    const { logger, metrics, random } = options;
    const clock = new ServerClock(options.clock);
    const client = options.client.setting(clock);
    this.#options = { ...options, clock, client };
    const lease = { namespace: options.leaseNamespace, name: LEASE_NAME };
    const { identity } = options;
    this.#elector = new LeaderElector({ client, lease, logger, random, metrics, ...(identity ? { identity } : {}) });
    this.#edges = this.#informer(mediaEdges);
    this.#meshes = this.#informer(relayMeshes);
    this.#routes = this.#informer(streamRoutes);
    this.#nodes = this.#informer(mediaNodes, { indexers: mediaNodeIndexers });
    this.#pods = this.#informer(pods, { indexers: podIndexers, selection: { labelSelector: NODE_LABEL.edge } });
    // Only this namespace: the Leases of the cluster's hosts change constantly and do not matter here.
    this.#leases = this.#informer(leases, { selection: { namespace: options.leaseNamespace } });
    this.#hosts = options.watchHosts ? this.#informer(nodes) : undefined;
    this.#replicas = new ControlReplicas(this.#leases, clock);
  }

  /** Ready once all caches have synced, whether this replica leads or not. */
  readiness(): Readiness {
    const missing = this.#informers
      .filter(({ hasSynced }) => !hasSynced)
      .map(({ resource }) => `waiting for the first list of ${resource.plural}`);
    return { ok: missing.length === 0, reasons: missing };
  }

  get isLeading(): boolean {
    return this.#isLeading;
  }

  /** Identity of the leader as far as this process has seen; undefined when there is none. */
  get leader(): string | undefined {
    return this.#elector.holder;
  }

  /** Runs until the signal aborts; settles when everything has stopped and the Lease is released. */
  async run(signal: AbortSignal): Promise<void> {
    // The caches stop after the last term ends, so that controllers finish their work on live caches.
    const caches = new AbortController();
    const running = this.#informers.map((informer) => informer.run(caches.signal));
    try {
      await this.#elector.run(signal, (term) => this.#lead(term));
    } finally {
      caches.abort();
      await Promise.all(running);
    }
  }

  async #lead({ fence, signal }: Term): Promise<void> {
    if (!(await this.#refreshCaches(signal))) return;
    const { clock, random, logger, metrics, edgeMetrics, pods: settings, trust, leaseNamespace } = this.#options;
    const client = this.#options.client.fenced(fence);
    const recorder = new EventRecorder({ client, component: COMPONENT, clock, logger, random, metrics });
    const common = { client, fence, recorder, clock, random, logger, metrics, nodes: this.#nodes };
    const [edges, meshes, replicas, routes] = [this.#edges, this.#meshes, this.#replicas, this.#routes];
    const verdicts = new TrustVerdicts();
    const controllers: Controller[] = [
      createMediaEdgeController({
        ...common,
        edgeMetrics,
        edges,
        meshes,
        replicas,
        pods: this.#pods,
        hosts: this.#hosts,
        settings,
        verdicts,
      }),
      createRelayMeshController({ ...common, edges, meshes, replicas, streamRoutes: routes }),
      createStreamRouteController({ ...common, meshes, streamRoutes: routes }),
      ...(trust.kind === 'plain'
        ? []
        : [
            createControlTlsController({
              ...common,
              edges,
              trust,
              controlNamespace: leaseNamespace,
              controlUrl: settings.controlUrl,
              verdicts,
            }),
          ]),
    ];
    this.#isLeading = true;
    const stop = new AbortController();
    const stopAll = (): void => {
      stop.abort(signal.reason);
    };
    signal.addEventListener('abort', stopAll, { once: true });
    const recording = recorder.run(stop.signal);
    try {
      // When one controller fails, all stop and the Lease is released, so that another replica takes over.
      await Promise.all(controllers.map((controller) => controller.run(stop.signal).finally(() => stop.abort())));
    } finally {
      signal.removeEventListener('abort', stopAll);
      stop.abort();
      await recording;
      this.#isLeading = false;
    }
  }

  /**
   * A new leader knows of its predecessor's last writes only what the API shows, and its watches may lag unnoticed. So a term begins with
   * lists of the newest state. Returns false when these fail; the Lease is then released.
   */
  async #refreshCaches(signal: AbortSignal): Promise<boolean> {
    const { clock, logger } = this.#options;
    const scope = new AbortController();
    const giveUp = (): void => scope.abort(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    const timer = clock.setTimeout(() => scope.abort(new Error(`no list within ${REFRESH_MS} ms`)), REFRESH_MS);
    try {
      await Promise.all(this.#informers.map((informer) => informer.refresh(scope.signal)));
      return true;
    } catch (error) {
      logger.warn({ err: error }, 'the newest state could not be listed; giving up leadership');
      return false;
    } finally {
      clock.clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
    }
  }

  #informer<T extends KubeObject>(
    resource: Resource<T>,
    extra: { indexers?: Record<string, Indexer<T>>; selection?: Selection } = {},
  ): Informer<T> {
    const { client, logger, metrics, random, namespace } = this.#options;
    const selection = { ...(resource.namespaced && namespace ? { namespace } : {}), ...extra.selection };
    const informer = new Informer<T>({
      client,
      resource,
      logger,
      metrics,
      random,
      selection,
      ...(extra.indexers ? { indexers: extra.indexers } : {}),
    });
    this.#informers.push(informer as unknown as Informer<KubeObject>);
    return informer;
  }
}
