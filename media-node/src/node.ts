import { urlHost, type NodeEndpoints, type NodeSettings } from '@millrace/api';
import { createMetrics, realClock, type Clock, type Logger, type Readiness, type Registry } from '@millrace/service';
import { AccessControl, PolicyCache } from './access/index.ts';
import { placeNode, trunkHosts } from './addresses/index.ts';
import { ControlChannel, plainControlWarning } from './channel/index.ts';
import { announcedHosts, workerCount, type MediaNodeConfig } from './config.ts';
import { readHostFacts } from './host.ts';
import { serveOps, serveSignaling } from './listeners.ts';
import { Measuring } from './measuring.ts';
import { StreamHub } from './media/index.ts';
import { startCores, startRelay } from './media-plane.ts';
import { loadNodeKey } from './node-key.ts';
import { judgeReadiness, problemsOf } from './readiness.ts';
import { ReadyFile } from './ready-file.ts';
import { SessionMover, SessionRegistry } from './sessions/index.ts';

/** How long sessions get to follow a `move` when the process is told to end. */
const LEAVE_MS = 2000;
const BUILD = '0.1.0';

export interface MediaNode {
  endpoints: NodeEndpoints;
  readiness(): Readiness;
  /** Unpublishes, tells viewers where to go, and ends everything. */
  close(): Promise<void>;
}

export interface MediaNodeOptions {
  clock?: Clock;
  /** The node cannot go on, because its relay thread is gone. End the process, so that it is started again. */
  onFatal?: (error: Error) => void;
  /** Default: one of its own. */
  registry?: Registry;
}

/** Stops what has been started so far, the latest first. */
type Undo = (() => unknown)[];

/**
 * Starts a media node: relay thread, media workers, channel to control, signalling and ops servers.
 * @throws Error when a port is taken or a setting is missing; nothing runs then
 */
export async function startMediaNode(
  config: MediaNodeConfig,
  logger: Logger,
  options: MediaNodeOptions = {},
): Promise<MediaNode> {
  const undo: Undo = [];
  try {
    return await start(config, logger, options, undo);
  } catch (error) {
    for (const stop of undo.reverse()) await Promise.resolve(stop()).catch(() => undefined);
    throw error;
  }
}

async function start(config: MediaNodeConfig, logger: Logger, options: MediaNodeOptions, undo: Undo): Promise<MediaNode> {
  const { clock = realClock, onFatal = () => undefined, registry = createMetrics({ service: 'media-node' }) } = options;
  const place = await placeNode(announcedHosts(config), clock, logger);
  const { addresses } = place;
  undo.push(() => addresses.stop());
  const nodeKey = await loadNodeKey(config.stateDir, logger);
  const relay = await startRelay(config, place, nodeKey.seed, logger);
  undo.push(() => relay.close());
  const cores = await startCores(config, place, logger, clock);
  undo.push(() => cores.close());

  const sessions = new SessionRegistry({
    sessions: config.capacitySessions,
    pendingPerAddress: config.pendingPerAddress,
    perAddress: config.sessionsPerAddress,
    plainPerAddress: config.plainSessionsPerAddress,
  });
  const facts = await readHostFacts(config);
  const plain = plainControlWarning(config.controlUrl);
  if (plain !== undefined) logger.warn({ controlUrl: config.controlUrl }, plain);
  const channel = new ControlChannel({
    urls: [config.controlUrl],
    tokenFile: config.tokenFile,
    caFile: config.controlCaFile,
    stateDir: config.stateDir,
    identity: () => ({ ...identityOf(config), endpoints, nodeKey: nodeKey.publicKey, ...facts }),
    logger,
    clock,
  });
  const hub = new StreamHub({ cores, relay, directory: channel, logger, clock });
  const readiness = (): Readiness => judgeReadiness({ channel, cores, addresses, workers: workerCount(config) });
  const readyFile = new ReadyFile(config.stateDir);
  const showReadiness = (): Promise<void> => {
    const { ok, reasons } = readiness();
    return readyFile.set(ok ? { ...endpoints, reasons } : undefined);
  };
  const cpus = config.cores;
  const problems = (): string[] => problemsOf(readiness());
  const watched = { hub, relay, cores, sessions, registry, cpus };
  const measuring = new Measuring({ ...watched, problems, onMeasured: showReadiness, clock, logger });

  const ops = await serveOps(config, place, registry, readiness);
  undo.push(() => ops.close());
  const access = new AccessControl(() => channel.settings?.tokenKeys ?? [], clock);
  const policies = new PolicyCache({
    here: (stream) => hub.policyOf(stream) ?? channel.known(stream)?.policy,
    ask: (stream) => channel.policy(stream),
    clock,
  });
  const parts = { hub, relay, sessions, access, policies, directory: channel, logger, clock };
  const signaling = await serveSignaling(config, place, registry, parts);
  undo.push(() => signaling.close());
  const trunkAt = trunkHosts(addresses.hosts, place.listen);
  const host = urlHost(trunkAt.host);
  const endpoints: NodeEndpoints = {
    signalingUrl: `${config.tlsDir === undefined ? 'http' : 'https'}://${host}:${signaling.port}`,
    ...trunkAt,
    trunkPort: relay.trunkPort,
    mediaPorts: cores.ports,
    opsUrl: `http://${host}:${ops.port}`,
  };

  const mover = new SessionMover({
    sessions,
    alternatives: (kind, stream, user) => channel.alternatives(kind, stream, user),
    here: endpoints.signalingUrl,
    takesSessions: (withinMs) => cores.whenAlive(withinMs),
    logger,
    clock,
  });
  channel.on('settings', (settings: NodeSettings) => {
    relay.configure(settings).catch((err: unknown) => logger.error({ err }, 'the relay refuses its settings'));
    hub.applySettings();
    const { drain } = settings.self;
    if (drain?.policy === 'Move') mover.drain(drain.deadlineAt, 'this node is being drained');
    else mover.stop();
    void showReadiness();
  });
  channel.on('stream', (stream, state) => hub.applyStream(stream, state));
  channel.on('granted', (stream, epoch, grant) => hub.renewGrant(stream, epoch, grant));
  channel.on('kick', ({ session, reason }) => sessions.get(session)?.close(reason, 'superseded'));
  channel.setReport(() => measuring.report);
  relay.on('failed', onFatal);
  cores.on('lost', () => void showReadiness());
  cores.on('restarted', (core) => {
    logger.info({ core }, 'media worker replaced');
    void showReadiness();
  });
  measuring.start();
  undo.push(() => measuring.stop());
  await channel.start();
  undo.push(() => channel.stop());
  const listens = { media: place.binds, services: place.listen };
  logger.info(
    { ...endpoints, roles: config.roles, workers: cores.count, announced: addresses.current, listens },
    'media node started',
  );

  return {
    endpoints,
    readiness,
    async close() {
      measuring.stop();
      await readyFile.set(undefined);
      if (sessions.size > 0) {
        mover.drain(clock.wall() + LEAVE_MS, 'this node stops');
        await new Promise<void>((resolve) => clock.setTimeout(resolve, LEAVE_MS));
      }
      mover.stop();
      sessions.closeAll('this node stops');
      hub.close('this node stops');
      await channel.stop();
      await signaling.close(200);
      await ops.close();
      cores.close();
      await relay.close();
      addresses.stop();
    },
  };
}

function identityOf({ nodeName, podUid, roles, region, provider, isp }: MediaNodeConfig) {
  return { node: nodeName, podUid, build: BUILD, roles, region, provider, ...(isp ? { isp } : {}) };
}
