import { TokenBucket, type KubeClient } from '@millrace/kube';
import { isHttps, trusts, type Clock, type Logger } from '@millrace/service';
import { Cluster } from './cluster/index.ts';
import { MemoryDirectory, type StreamDirectory } from './directory/index.ts';
import { Fleet } from './fleet/index.ts';
import { DirectoryFollower } from './follow-directory.ts';
import { AgentGateway, TokenReviews, reviewWith } from './gateway/index.ts';
import type { ControlMetrics } from './metrics.ts';
import type { ControlOptions } from './options.ts';
import { Placer } from './placement/index.ts';
import { Prewarm } from './prewarm/index.ts';
import { ClientRegions } from './scheduler/index.ts';
import { Settling } from './settling.ts';
import { Programmer } from './snapshot/index.ts';
import { ReplicaLease, StatusWriters } from './status/index.ts';
import { LiveStreams } from './streams/index.ts';
import { AppKeys, SigningKeys } from './tokens/index.ts';

/** What the parts of one replica share. */
export interface ReplicaContext {
  client: KubeClient;
  namespace: string;
  replica: string;
  metrics: ControlMetrics;
  clock: Clock;
  random: () => number;
  logger: Logger;
}

/** Token reviews at the Kubernetes API: a fleet's nodes that reconnect at once are reviewed within seconds. */
const REVIEWS = { qps: 50, burst: 200 };

export type Parts = ReturnType<typeof createParts>;

/** Creates the parts of one replica and connects them. Starts nothing: see startControl. */
export function createParts(options: ControlOptions, context: ReplicaContext) {
  const { client, namespace, replica, metrics, clock, random, logger } = context;
  const directory: StreamDirectory = options.directory ?? new MemoryDirectory({ clock });
  const clientRegions = new ClientRegions(options.regionsByCidr);
  const fleet = new Fleet({ clock });
  const streams = new LiveStreams();
  const signingKeys = new SigningKeys();
  const appKeys = new AppKeys();
  const cluster: Cluster = new Cluster({
    client,
    namespace,
    fleet,
    streams,
    logger,
    onMeshChanged: (mesh) => programmer.meshChanged(mesh),
  });
  const programmer: Programmer = new Programmer({
    fleet,
    streams,
    meshOf: (name) => cluster.meshOf(name),
    tokenKeys: () => signingKeys.publicKeys,
    certificateOf: (node, nodeKey) => signingKeys.certificateOf(node, nodeKey),
    grantOf: (entry) => signingKeys.grantOf(entry, clock.wall()),
    clock,
    logger,
    onProgrammed: (node, generation) => status.programmed(node, generation),
  });
  const prewarm = new Prewarm({ fleet, streams, clock, hold: (stream, nodes) => programmer.hold(stream, nodes) });
  const placer = new Placer({ fleet, streams, clientRegions, defaultRegion: options.defaultRegion, random, clock });
  const lease = new ReplicaLease({ client, namespace, replica, clock, logger });
  const status: StatusWriters = new StatusWriters({
    client,
    namespace,
    replica,
    cluster,
    fleet,
    streams,
    lease,
    metrics,
    clock,
    random,
    logger,
  });
  const follower = new DirectoryFollower({ directory, fleet, streams, clock, logger });
  const settling = new Settling({
    clock,
    withinMs: options.settleMs ?? (options.directory ? 0 : 5000),
    missing: () => !cluster.hasSynced || [...fleet.specs()].some((spec) => spec.wasConnected && !fleet.isConnected(spec.name)),
  });
  const gateway = new AgentGateway({
    replica,
    heartbeatMs: options.heartbeatMs ?? 5000,
    directory,
    fleet,
    streams,
    programmer,
    signingKeys,
    settled: () => settling.whenSettled(),
    alternatives: ({ node, ...query }) => {
      const region = fleet.spec(node)?.region;
      // The node's clients came by its own scheme.
      const httpsOnly = isHttps(fleet.presence(node)?.hello.endpoints.signalingUrl ?? '');
      const placed = placer.place({ ...query, region, exclude: [node], httpsOnly }, true);
      return placed.ok ? placed.places.map((place) => place.signaling) : [];
    },
    isTrusted: trusts(options.trustedProxies ?? []),
    knowsNodes: () => cluster.hasSynced,
    reviews: new TokenReviews({ review: reviewWith(client.limitedBy(new TokenBucket({ clock, ...REVIEWS }))), clock, namespace }),
    clock,
    random,
    logger,
    onRefused: (node, reason) => status.refused(node, reason),
    onConnected: (session) => {
      metrics.agents.set(gateway.connected);
      status.connected(session.node);
      settling.check();
    },
    onDisconnected: (session, reason) => {
      metrics.agents.set(gateway.connected);
      metrics.disconnects.inc();
      logger.info({ node: session.node, reason }, 'agent disconnected');
      status.disconnected(session.node, reason);
    },
  });
  streams.watch(() => metrics.streams.set(streams.size));
  return {
    directory,
    fleet,
    streams,
    signingKeys,
    appKeys,
    cluster,
    programmer,
    prewarm,
    placer,
    lease,
    status,
    follower,
    settling,
    gateway,
  };
}
