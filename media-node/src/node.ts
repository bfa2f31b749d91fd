import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { ipFamilyOf, urlHost, type NodeEndpoints, type NodeSettings, type Report } from '@millrace/api';
import {
  AddressRate,
  CannotListen,
  countHttpRefusals,
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
  type Readiness,
  type Registry,
} from '@millrace/service';
import express from 'express';
import { AccessControl } from './access/index.ts';
import { AnnouncedAddresses, availableFamilies, planBinds, serviceHost, trunkHosts } from './addresses/index.ts';
import { ControlChannel } from './channel/index.ts';
import { announcedHosts, workerCount, type MediaNodeConfig } from './config.ts';
import { readHostFacts } from './host.ts';
import { LoadMeter } from './load.ts';
import { MediaCores, StreamHub } from './media/index.ts';
import { registerMetrics } from './metrics.ts';
import { registerRelayMetrics } from './relay-metrics.ts';
import { ReadyFile } from './ready-file.ts';
import { PublisherWatch } from './publisher/index.ts';
import { Relay } from './relay/index.ts';
import { buildReport } from './report.ts';
import { SessionMover, SessionRegistry } from './sessions/index.ts';
import { signalingApp } from './signaling/index.ts';

const TICK_MS = 1000;
const SESSION_TIMEOUTS = { connectMs: 30_000, interruptedMs: 15_000 };
/** How long sessions get to follow a `move` when the process is told to end. */
const LEAVE_MS = 2000;

export interface MediaNode {
  endpoints: NodeEndpoints;
  readiness(): Readiness;
  /** Unpublishes, tells viewers where to go, and ends everything. */
  close(): Promise<void>;
}

export interface MediaNodeOptions {
  clock?: Clock;
  /** The node cannot go on: its relay thread is gone. End the process, so that it is started anew. */
  onFatal?: (error: Error) => void;
  /** Default: one of its own. */
  registry?: Registry;
}

/**
 * Starts a media node: relay thread, media workers, channel to control, signalling and ops servers.
 * @throws Error when a port is taken or a setting is missing; nothing runs then
 */
export async function startMediaNode(
  config: MediaNodeConfig,
  logger: Logger,
  options: MediaNodeOptions = {},
): Promise<MediaNode> {
  const hosts = announcedHosts(config);
  const closers: (() => unknown)[] = [];
  const clock = options.clock ?? realClock;
  try {
    return await assemble(config, {
      ...(await placeNode(hosts, clock, logger, closers)),
      logger,
      closers,
      clock,
      onFatal: options.onFatal ?? (() => undefined),
      registry: options.registry,
    });
  } catch (error) {
    for (const close of closers.reverse()) await Promise.resolve(close()).catch(() => undefined);
    throw error;
  }
}

/** Where the node is reached, and where it listens for that. */
async function placeNode(
  announced: readonly string[],
  clock: Clock,
  logger: Logger,
  closers: (() => unknown)[],
): Promise<Pick<Surroundings, 'addresses' | 'binds' | 'listen'>> {
  const families = await availableFamilies();
  if (!families.includes(6)) logger.warn('this machine has no IPv6: listening on IPv4 only');
  const isUsable = (host: string): boolean => families.includes(ipFamilyOf(host) ?? families[0]!);
  const hosts = announced.filter(isUsable);
  if (hosts.length === 0)
    throw new Error(`the node announces ${announced.join(', ')} only, and this machine has no such addresses; announce others`);
  const machine = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
  const binds = planBinds({ hosts, machine, families });
  const addresses = new AnnouncedAddresses({
    hosts,
    lookup: async (name) => (await lookup(name, { all: true })).map(({ address }) => address).filter(isUsable),
    clock,
    logger,
  });
  closers.push(() => addresses.stop());
  await addresses.start();
  return { addresses, binds, listen: serviceHost(hosts, families) };
}

interface Surroundings extends Required<Omit<MediaNodeOptions, 'registry'>>, Pick<MediaNodeOptions, 'registry'> {
  /** What clients are told. */
  addresses: AnnouncedAddresses;
  /** Where media listens. */
  binds: string[];
  /** Where HTTP and trunks listen. */
  listen: string;
  logger: Logger;
  /** Undo of what has been started so far. */
  closers: (() => unknown)[];
}

async function assemble(
  config: MediaNodeConfig,
  { addresses, binds, listen, logger, clock, closers, onFatal, registry: givenRegistry }: Surroundings,
): Promise<MediaNode> {
  const relay = await Relay.start({
    trunk: { host: listen, port: config.trunkPort },
    logger,
    self: { node: config.nodeName },
    roles: config.roles,
  }).catch((error: unknown) => {
    if (!/\bEADDR|\bEACCES/.test(String(error))) throw error;
    throw new CannotListen(error, {
      host: listen,
      port: config.trunkPort,
      setting: 'trunkPort (MILLRACE_TRUNK_PORT)',
      protocol: 'UDP',
    });
  });
  closers.push(() => relay.close());
  const cores = await MediaCores.start({
    count: workerCount(config),
    mediaPort: config.mediaPort,
    binds,
    pinning: config.pinning,
    logger,
    clock,
  });
  closers.push(() => cores.close());

  const sessions = new SessionRegistry({
    sessions: config.capacitySessions,
    pendingPerAddress: config.pendingPerAddress,
    perAddress: config.sessionsPerAddress,
  });
  const facts = await readHostFacts(config);
  const channel = new ControlChannel({
    urls: [config.controlUrl],
    tokenFile: config.tokenFile,
    stateDir: config.stateDir,
    identity: () => ({
      node: config.nodeName,
      podUid: config.podUid,
      build: BUILD,
      roles: config.roles,
      region: config.region,
      provider: config.provider,
      ...(config.isp ? { isp: config.isp } : {}),
      endpoints,
      ...facts,
    }),
    logger,
    clock,
  });
  const hub = new StreamHub({ cores, relay, directory: channel, logger, clock });
  const access = new AccessControl(() => channel.settings?.tokenKeys ?? [], clock);
  const load = new LoadMeter(clock, config.cores);
  let report: Report = { at: clock.wall(), load: EMPTY_LOAD, links: [], streams: [] };
  const registry = givenRegistry ?? createMetrics({ service: 'media-node' });
  registerMetrics(registry, { sessions, hub, cores, load });
  const relayMetrics = registerRelayMetrics(registry);

  const readiness = (): Readiness => judgeReadiness(config, channel, cores, addresses);
  const ops = await serveOps(listen, config, registry, readiness);
  closers.push(() => ops.close());
  const isTrusted = trusts(config.trustedProxies);
  const onRefused = countHttpRefusals(registry, 'signaling');
  const app = signalingApp({
    node: config.nodeName,
    hub,
    sessions,
    access,
    directory: channel,
    roles: config.roles,
    region: config.region,
    iceServers: config.iceServers,
    addresses,
    binds,
    rtpPorts: { min: config.rtpPortMin, max: config.rtpPortMax },
    sessionRate: addressRate(config.sessionsPerSecondPerAddress, clock),
    requestRate: addressRate(config.requestsPerSecondPerAddress, clock),
    isTrusted,
    onRefused,
    timeouts: SESSION_TIMEOUTS,
    logger,
    clock,
  });
  const tls = config.tlsDir === undefined ? undefined : await readTls(config.tlsDir);
  const signaling = await serveHttp(app, {
    host: listen,
    port: config.signalingPort,
    setting: 'signalingPort (MILLRACE_SIGNALING_PORT)',
    limits: { connectionsPerAddress: config.connectionsPerAddress },
    isTrusted,
    onRefused,
    ...(tls ? { tls } : {}),
  });
  closers.push(() => signaling.close());

  const trunkAt = trunkHosts(addresses.hosts, listen);
  const host = urlHost(trunkAt.host);
  const endpoints: NodeEndpoints = {
    signalingUrl: `${tls ? 'https' : 'http'}://${host}:${signaling.port}`,
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
  const publishers = new PublisherWatch({ sessions, logger, clock });
  const apply = (settings: NodeSettings): void => {
    const { self } = settings;
    relay.configure(settings).catch((err: unknown) => logger.error({ err }, 'the relay refuses its settings'));
    hub.applySettings();
    if (self.drain?.policy === 'Move') mover.drain(self.drain.deadlineAt, 'this node is being drained');
    else mover.stop();
  };
  channel.on('settings', apply);
  channel.on('stream', (stream, state) => hub.applyStream(stream, state));
  channel.on('kick', ({ session, reason }) => sessions.get(session)?.close(reason, 'superseded'));
  relay.on('failed', onFatal);
  cores.on('restarted', (core) => logger.info({ core }, 'media worker replaced'));

  channel.setReport(() => report);
  const readyFile = new ReadyFile(config.stateDir);
  const showReadiness = (): Promise<void> => {
    const { ok, reasons } = readiness();
    return readyFile.set(ok ? { ...endpoints, reasons } : undefined);
  };
  channel.on('settings', () => void showReadiness());
  cores.on('lost', () => void showReadiness());
  cores.on('restarted', () => void showReadiness());
  const tick = async (): Promise<void> => {
    const all = sessions.all();
    const [cpuPercent] = await Promise.all([
      load.sampleCpu(cores.pids),
      load.sampleRates(all),
      ...hub.published.map(({ origin }) => origin.measureRtt()),
    ]);
    const [links, stats] = await Promise.all([relay.links(), relay.stats()]);
    await publishers.look(stats.ingests);
    relayMetrics.update(links, stats);
    report = buildReport({
      at: clock.wall(),
      cpuPercent,
      sessions,
      hub,
      links,
      carried: stats.streams,
      silenceOf: (stream) => publishers.silenceOf(stream),
    });
    await showReadiness();
  };
  let ticking = false;
  const ticker = setInterval(() => {
    if (ticking) return;
    ticking = true;
    tick()
      .catch((err: unknown) => logger.warn({ err }, 'measuring failed'))
      .finally(() => (ticking = false));
  }, TICK_MS);
  closers.push(() => {
    clearInterval(ticker);
  });
  await channel.start();
  closers.push(() => channel.stop());
  logger.info(
    {
      ...endpoints,
      roles: config.roles,
      workers: cores.count,
      announced: addresses.current,
      listens: { media: binds, services: listen },
    },
    'media node started',
  );

  return {
    endpoints,
    readiness,
    async close() {
      clearInterval(ticker);
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

/** Without control but with what it said last the node goes on: ready, with a reason that says so. */
function judgeReadiness(
  config: MediaNodeConfig,
  channel: ControlChannel,
  cores: MediaCores,
  addresses: AnnouncedAddresses,
): Readiness {
  const missing: string[] = [];
  if (!channel.settings) missing.push('nothing heard from control yet');
  if (cores.alive < workerCount(config)) missing.push(`${workerCount(config) - cores.alive} media workers are being replaced`);
  const { failing } = cores;
  if (failing.length > 0) missing.push(`media workers of core ${failing.join(', ')} die again and again`);
  const degraded = channel.state === 'connected' ? [] : ['control is not reached; going on with what it said last'];
  const hasWorkers = workerCount(config) === 0 || cores.alive > 0;
  const hasAddress = addresses.current.length > 0;
  const ok = channel.settings !== undefined && hasWorkers && failing.length === 0 && hasAddress;
  return { ok, reasons: [...missing, ...addresses.problems, ...degraded] };
}

function serveOps(
  host: string,
  { opsPort: port, metricsFrom }: MediaNodeConfig,
  registry: ReturnType<typeof createMetrics>,
  ready: () => Readiness,
): Promise<HttpService> {
  const app = express();
  app.disable('x-powered-by');
  app.use(opsRouter({ registry, ready, metricsFrom }), notFoundHandler);
  return serveHttp(app, {
    host,
    port,
    setting: 'opsPort (MILLRACE_OPS_PORT)',
    limits: OPS_LIMITS,
    onRefused: countHttpRefusals(registry, 'ops'),
  });
}

function addressRate(perSecond: number, clock: Clock): AddressRate {
  return new AddressRate({ perSecond, burst: 2 * perSecond, clock });
}

async function readTls(folder: string): Promise<{ cert: Buffer; key: Buffer }> {
  const [cert, key] = await Promise.all([readFile(join(folder, 'tls.crt')), readFile(join(folder, 'tls.key'))]);
  return { cert, key };
}

const EMPTY_LOAD = { cpuPercent: 0, egressMbps: 0, ingressMbps: 0, sessions: 0, publishers: 0, viewers: 0, streams: 0 };
const BUILD = '0.1.0';
