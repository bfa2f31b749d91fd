import { randomBytes } from 'node:crypto';
import type { IceServer } from '@millrace/api';
import { contextNamespace, createKubeClient, isAlreadyExists, secrets, type KubeClient } from '@millrace/kube';
import {
  AddressRate,
  countHttpRefusals,
  createLogger,
  createMetrics,
  notFoundHandler,
  OPS_LIMITS,
  opsRouter,
  realClock,
  serveHttp,
  trusts,
  type Clock,
  type HttpService,
  type Logger,
  type Registry,
} from '@millrace/service';
import express from 'express';
import { Cluster, NamedSecret } from './cluster/index.ts';
import { MemoryDirectory, type StreamDirectory } from './directory/index.ts';
import { Fleet } from './fleet/index.ts';
import { DirectoryFollower } from './follow-directory.ts';
import { AgentGateway, TokenReviews, reviewWith } from './gateway/index.ts';
import { controlApp } from './http/index.ts';
import { controlMetrics } from './metrics.ts';
import { Placer } from './placement/index.ts';
import { Prewarm } from './prewarm/index.ts';
import { ClientRegions, type ClientRegion } from './scheduler/index.ts';
import { Settling } from './settling.ts';
import { Programmer } from './snapshot/index.ts';
import { ReplicaLease, StatusWriters } from './status/index.ts';
import { LiveStreams } from './streams/index.ts';
import { AppKeys, SigningKeys } from './tokens/index.ts';

export const TOKEN_KEY_SECRET = 'millrace-token-key';
export const APP_KEYS_SECRET = 'millrace-app-keys';

export interface ControlOptions {
  kubeconfig: Parameters<typeof createKubeClient>[0]['kubeconfig'];
  /** Default: that of the kubeconfig's context, else `default`. */
  namespace?: string | undefined;
  host?: string;
  /** 0: a free one. */
  port: number;
  /** /metrics, /healthz and /readyz on a port of their own; absent: on the same. */
  opsPort?: number | undefined;
  /** Shared by all replicas; absent: one in memory, for a single replica. It is closed at stop. */
  directory?: StreamDirectory;
  /** Unique among replicas that run at once; the Lease is called `millrace-control-<replica>`. */
  replica?: string | undefined;
  regionsByCidr?: Readonly<Record<string, ClientRegion>>;
  defaultRegion?: string | undefined;
  publicReads?: boolean;
  corsOrigins?: readonly string[];
  iceServers?: readonly IceServer[];
  tokenTtlSeconds?: number;
  /** Addresses or CIDRs of proxies whose X-Forwarded-For and Forwarded are believed. */
  trustedProxies?: readonly string[];
  /** From one client address; default 1000 requests a second, 2000 connections. */
  requestsPerSecondPerAddress?: number;
  connectionsPerAddress?: number;
  /** Addresses or CIDRs that may read /metrics; default private networks. */
  metricsFrom?: readonly string[];
  heartbeatMs?: number;
  /** How long, after the start, an unknown stream may still be announced; default 5 s in memory, none with a given directory. */
  settleMs?: number;
  logger?: Logger;
  registry?: Registry;
  clock?: Clock;
  random?: () => number;
}

export interface Control {
  /** Base URL of the HTTP API; agents dial `agentUrl`. */
  url: string;
  agentUrl: string;
  opsUrl: string;
  replica: string;
  /** Sends the nodes away and stops within about `graceMs` (default 3 s). */
  stop(graceMs?: number): Promise<void>;
}

/** Starts one replica of control; resolves when it listens. It becomes ready when it has read the cluster, and goes on with what it knows when the API is away. */
export async function startControl(options: ControlOptions): Promise<Control> {
  const { host = '127.0.0.1', clock = realClock, random = Math.random } = options;
  const replica = options.replica ?? randomBytes(4).toString('hex');
  const logger = (options.logger ?? createLogger({ service: 'control' })).child({ replica });
  const registry = options.registry ?? createMetrics({ service: 'control' });
  const metrics = controlMetrics(registry, { compiled: () => programmer.compiled });
  const namespace = options.namespace ?? contextNamespace(options.kubeconfig) ?? 'default';
  const client = createKubeClient({ kubeconfig: options.kubeconfig, clock });
  const directory = options.directory ?? new MemoryDirectory({ clock });
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
    clock,
    logger,
    onProgrammed: (node, generation) => status.programmed(node, generation),
  });
  const prewarm = new Prewarm({ fleet, streams, clock, hold: (stream, nodes) => programmer.hold(stream, nodes) });
  const placer = new Placer({ fleet, streams, clientRegions, defaultRegion: options.defaultRegion, random });
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
    settled: () => settling.whenSettled(),
    alternatives: ({ node, ...query }) => {
      const placed = placer.place({ ...query, region: fleet.spec(node)?.region, exclude: [node] }, true);
      return placed.ok ? placed.places.map((place) => place.signaling) : [];
    },
    reviews: new TokenReviews({ review: reviewWith(client), clock, namespace }),
    clock,
    random,
    logger,
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

  const ready = (): { ok: boolean; reasons: string[] } => {
    const reasons: string[] = [];
    if (!cluster.hasSynced) reasons.push('the cluster has not been read yet');
    if (!signingKeys.ready) reasons.push(`Secret ${TOKEN_KEY_SECRET} has not been read yet`);
    return { ok: reasons.length === 0, reasons };
  };
  const isTrusted = trusts(options.trustedProxies ?? []);
  const onRefused = countHttpRefusals(registry, 'control');
  const { requestsPerSecondPerAddress = 1000, connectionsPerAddress = 2000 } = options;
  const api = controlApp({
    fleet,
    streams,
    placer,
    signingKeys,
    appKeys,
    metrics,
    publicReads: options.publicReads ?? false,
    corsOrigins: options.corsOrigins ?? ['*'],
    iceServers: options.iceServers ?? [],
    tokenTtlSeconds: options.tokenTtlSeconds ?? 3600,
    requestRate: new AddressRate({ perSecond: requestsPerSecondPerAddress, burst: 2 * requestsPerSecondPerAddress, clock }),
    isTrusted,
    onRefused,
    clock,
    logger,
  });
  const ops = opsRouter({ registry, ready, metricsFrom: options.metricsFrom });
  const app = options.opsPort === undefined ? express().disable('x-powered-by').use(ops).use(api.app) : api.app;

  const http = await serveHttp(app, {
    host,
    port: options.port,
    setting: 'port (MILLRACE_PORT)',
    limits: { connectionsPerAddress },
    isTrusted,
    onRefused,
  });
  gateway.attach(http.server);
  const opsHttp: HttpService =
    options.opsPort === undefined
      ? http
      : await serveHttp(express().disable('x-powered-by').use(ops).use(notFoundHandler), {
          host,
          port: options.opsPort,
          setting: 'opsPort (MILLRACE_OPS_PORT)',
          limits: OPS_LIMITS,
          onRefused: countHttpRefusals(registry, 'ops'),
        }).catch(async (error: unknown) => {
          await http.close();
          throw error;
        });

  const tokenKeys = new NamedSecret({
    client,
    namespace,
    name: TOKEN_KEY_SECRET,
    logger,
    onData: (data) => {
      // Deleting it is no rotation: nodes and clients hold what it signed.
      if (data === undefined) return;
      signingKeys.load(data).then(
        () => programmer.tokenKeysChanged(),
        (err: unknown) => logger.error({ err }, `Secret ${TOKEN_KEY_SECRET} is not usable; the keys known before stay`),
      );
    },
  });
  const apps = new NamedSecret({
    client,
    namespace,
    name: APP_KEYS_SECRET,
    logger,
    onData: (data) => {
      const weak = appKeys.load(data);
      if (weak.length > 0) logger.warn({ apps: weak }, 'app keys shorter than 16 characters are not accepted');
    },
  });
  cluster.start();
  lease.start();
  status.start();
  prewarm.start();
  await follower.readAll();
  const stopCreating = new AbortController();
  const creating = createTokenKey(client, namespace, tokenKeys, stopCreating.signal, clock, logger);
  cluster.whenSynced().then(
    () => settling.check(),
    () => {},
  );
  logger.info({ url: http.url, namespace }, 'control listens');

  let stopped: Promise<void> | undefined;
  const stop = async (graceMs: number): Promise<void> => {
    stopCreating.abort();
    follower.stop();
    prewarm.stop();
    await gateway.stop(graceMs);
    status.stop();
    programmer.stop();
    api.close();
    await Promise.all([
      http.close(500),
      opsHttp.close(500),
      lease.stop(),
      cluster.stop(),
      tokenKeys.stop(),
      apps.stop(),
      creating,
    ]);
    await directory.close();
    client.close();
  };
  return {
    url: http.url,
    agentUrl: `${http.url.replace(/^http/, 'ws')}/v1/agent`,
    opsUrl: opsHttp.url,
    replica,
    stop: (graceMs = 3000) => (stopped ??= stop(graceMs)),
  };
}

/** Makes the signing key where there is none. Of replicas that start together the first wins, the others read its key. */
async function createTokenKey(
  client: KubeClient,
  namespace: string,
  secret: NamedSecret,
  signal: AbortSignal,
  clock: Clock,
  logger: Logger,
): Promise<void> {
  try {
    await secret.whenSynced(signal);
  } catch {
    return;
  }
  while (!signal.aborted) {
    try {
      const metadata = { namespace, name: TOKEN_KEY_SECRET };
      if (await client.find(secrets, metadata, { signal })) return;
      await client.create(
        secrets,
        { metadata, type: 'Opaque', data: await SigningKeys.create() },
        { fieldManager: 'millrace-control', signal },
      );
      logger.info(`Secret ${TOKEN_KEY_SECRET} made`);
      return;
    } catch (err) {
      if (signal.aborted || isAlreadyExists(err)) return;
      logger.warn({ err }, `Secret ${TOKEN_KEY_SECRET} could not be made`);
      await new Promise<void>((resolve) => {
        const timer = clock.setTimeout(resolve, 2000);
        signal.addEventListener('abort', () => (clock.clearTimeout(timer), resolve()), { once: true });
      });
    }
  }
}
