import { generateKeyPairSync, randomBytes, randomUUID, type KeyObject } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import {
  DEFAULT_POLICY,
  grantEndMs,
  PublicJwk,
  signGrant,
  signNodeCertificate,
  type NodeSettings,
  type StreamPolicy,
  type StreamState,
} from '@millrace/api';
import { AddressRate, createLogger, Problem, realClock, serveHttp, trusts, type Logger } from '@millrace/service';
import { decodeJwt, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { AnnouncedAddresses, availableFamilies, planBinds, serviceHost } from '../addresses/index.ts';
import { AccessControl, PolicyCache } from '../access/index.ts';
import { MediaCores, StreamHub, type StreamDirectory } from '../media/index.ts';
import { PublisherWatch } from '../publisher/index.ts';
import { Relay } from '../relay/index.ts';
import { PlainViewerWatch, SessionMover, SessionRegistry, type LifeLimits } from '../sessions/index.ts';
import type { IceServer } from './context.ts';
import { Identity, SEED_BYTES } from '../trunk/index.ts';
import { signalingApp } from './index.ts';

export interface TestNodeOptions {
  name?: string;
  /** What the nodes of one test share: who publishes what, the key of their trunks, and the key that signs grants and certificates. */
  network?: TestNetwork;
  sessions?: number;
  roles?: string[];
  policy?: Partial<StreamPolicy>;
  alternatives?: string[];
  iceServers?: readonly IceServer[];
  trustedProxies?: readonly string[];
  sessionsPerSecond?: number;
  connectMs?: number;
  plainSessionsPerAddress?: number;
  /** How long viewers of plain RTP may send nothing. */
  lifeLimits?: LifeLimits;
  /** How long publishers may stay above their bit rate limit. */
  maxAboveMs?: number;
  logger?: Logger;
  cores?: number;
  /** What it announces; default 127.0.0.1. */
  hosts?: string[];
  /** For names among them. */
  lookup?: (name: string) => Promise<string[]>;
}

/** How often publishers are looked at; a real node looks each second. */
const LOOK_MS = 250;

/**
 * One node with real workers and a real relay thread. Only control is missing: names are granted from a map, with the rules of the
 * stream directory (one publisher a name, growing epochs).
 */
export async function startTestNode(options: TestNodeOptions = {}) {
  const logger = options.logger ?? createLogger({ service: 'test', level: process.env['MILLRACE_LOG_LEVEL'] ?? 'silent' });
  const clock = realClock;
  const hosts = options.hosts ?? ['127.0.0.1'];
  const addresses = new AnnouncedAddresses({ hosts, lookup: options.lookup ?? (() => Promise.resolve([])), clock, logger });
  await addresses.start();
  const families = await availableFamilies();
  const machine = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
  const binds = planBinds({ hosts, machine, families });
  const listen = serviceHost(hosts, families);
  const name = options.name ?? 'node-1';
  const network = options.network ?? newNetwork();
  const seed = randomBytes(SEED_BYTES);
  const self = { node: name, nodeKeySeed: seed.toString('base64') };
  const relay = await Relay.start({ trunk: { host: listen, port: 0 }, logger, self, roles: ['relay'] });
  const cores = await MediaCores.start({
    count: options.cores ?? 1,
    mediaPort: 0,
    binds,
    pinning: 'none',
    logger,
    clock,
  });
  const keys = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k1' } as PublicJwk;
  const policy: StreamPolicy = { ...DEFAULT_POLICY, access: { publish: 'Public', play: 'Public' }, ...options.policy };
  const directory = new TestDirectory(name, relay.trunkPort, policy, options.alternatives ?? [], network);
  const certificate = signNodeCertificate({ node: name, key: new Identity(seed).publicKey }, network.signer).toString('base64');
  await relay.configure({
    mesh: network.mesh,
    peers: [],
    probe: [],
    tokenKeys: [network.signer.jwk],
    self: { ...directory.settings.self, certificate },
  });
  const hub = new StreamHub({ cores, relay, directory, logger, clock, republishMs: 300 });
  const sessions = new SessionRegistry({
    sessions: options.sessions ?? 100,
    pendingPerAddress: 50,
    perAddress: 100,
    plainPerAddress: options.plainSessionsPerAddress ?? 64,
  });
  const addressRate = (perSecond: number): AddressRate => new AddressRate({ perSecond, burst: perSecond, clock });
  const app = signalingApp({
    node: name,
    hub,
    relay,
    sessions,
    access: new AccessControl(() => [jwk], clock),
    policies: new PolicyCache({
      here: (stream) => hub.policyOf(stream),
      ask: (stream) => directory.policy(stream),
      clock,
    }),
    directory,
    roles: options.roles ?? ['push', 'pull'],
    region: 'a',
    iceServers: options.iceServers ?? [{ urls: ['stun:stun.example.org:3478'] }],
    addresses,
    binds,
    rtpPorts: { min: 41000, max: 41999 },
    sessionRate: addressRate(options.sessionsPerSecond ?? 1000),
    requestRate: addressRate(10_000),
    isTrusted: trusts(options.trustedProxies ?? []),
    onRefused: () => undefined,
    timeouts: { connectMs: options.connectMs ?? 20_000, interruptedMs: 10_000 },
    logger,
    clock,
  });
  const publishers = new PublisherWatch({
    sessions,
    ...(options.maxAboveMs === undefined ? {} : { maxAboveMs: options.maxAboveMs }),
    logger,
    clock,
  });
  const plainViewers = new PlainViewerWatch({
    sessions,
    ...(options.lifeLimits ? { limits: options.lifeLimits } : {}),
    logger,
    clock,
  });
  let isLooking = false;
  const looking = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    relay
      .stats()
      .then(({ ingests }) => Promise.all([publishers.look(ingests), plainViewers.look()]))
      .catch((err: unknown) => logger.warn({ err }, 'looking at publishers failed'))
      .finally(() => (isLooking = false));
  }, LOOK_MS);
  const http = await serveHttp(app, { host: listen, port: 0 });
  new SessionMover({
    sessions,
    alternatives: () => directory.alternatives(),
    here: http.url,
    takesSessions: (withinMs) => cores.whenAlive(withinMs),
    logger,
    clock,
  });
  return {
    url: http.url,
    hub,
    cores,
    sessions,
    directory,
    relay,
    token: (act: 'push' | 'pull', stream: string, claims: { rtpTo?: string; sub?: string; jti?: string } = {}) =>
      new SignJWT({ act, stream, ...claims })
        .setProtectedHeader({ alg: 'EdDSA', kid: 'k1' })
        .setIssuer('millrace')
        .setAudience('millrace-media')
        .setSubject(claims.sub ?? 'someone')
        .setJti(claims.jti ?? randomUUID())
        .setIssuedAt()
        .setExpirationTime('1m')
        .sign(keys.privateKey),
    async close() {
      addresses.stop();
      clearInterval(looking);
      sessions.closeAll('the test ends');
      hub.close('the test ends');
      await http.close();
      cores.close();
      await relay.close();
    },
  };
}
export type TestNode = Awaited<ReturnType<typeof startTestNode>>;

export interface TestNetwork {
  published: Map<string, { session: string; state: StreamState }>;
  mesh: NonNullable<NodeSettings['mesh']>;
  signer: { kid: string; key: KeyObject; jwk: PublicJwk };
}

export function newNetwork(): TestNetwork {
  const mesh = {
    name: 'test',
    keys: [{ id: 'k1', secret: randomBytes(32).toString('base64') }],
    kcp: { intervalMs: 10, fastResend: 2, sendWindow: 1024, receiveWindow: 1024, deadlineMs: 600 },
    fec: { mode: 'Off' as const, dataShards: 10, parityShards: 2 },
    rateCapMbps: 1000,
    probeIntervalMs: 1000,
    fastReroute: { heartbeatMs: 40, sensitivity: 'Medium' as const },
  };
  const { privateKey: key, publicKey } = generateKeyPairSync('ed25519');
  const signer = { kid: 'c1', key, jwk: PublicJwk.parse({ ...publicKey.export({ format: 'jwk' }), kid: 'c1' }) };
  return { published: new Map(), mesh, signer };
}

class TestDirectory implements StreamDirectory {
  readonly settings: NodeSettings;
  readonly published: TestNetwork['published'];
  /** The users that publishers gave, by stream. */
  readonly users = new Map<string, string | undefined>();
  readonly #node: string;
  readonly #trunkPort: number;
  readonly #policy: StreamPolicy;
  readonly #alternatives: string[];
  readonly #signer: TestNetwork['signer'];
  #epoch = 0;

  constructor(node: string, trunkPort: number, policy: StreamPolicy, alternatives: string[], network: TestNetwork) {
    this.#node = node;
    this.#trunkPort = trunkPort;
    this.published = network.published;
    this.#signer = network.signer;
    this.#policy = policy;
    this.#alternatives = alternatives;
    this.settings = {
      generation: 1,
      self: { node, region: 'a', cordoned: false },
      tokenKeys: [],
      peers: [],
      probe: [],
      relays: [],
      routes: [],
    };
  }

  publish(request: Parameters<StreamDirectory['publish']>[0]): Promise<{ epoch: number; policy: StreamPolicy; grant: string }> {
    const { stream, session, token, tracks } = request;
    const holder = this.published.get(stream);
    const mayTake = holder?.session === request.replaces || (token !== undefined && this.#policy.onDuplicate === 'Takeover');
    if (holder && !mayTake) {
      return Promise.reject(
        new Problem(409, 'The stream is being published', {
          detail: `${stream} has a publisher`,
          headers: { 'retry-after': '10' },
        }),
      );
    }
    this.users.set(stream, token === undefined ? undefined : decodeJwt(token).sub);
    this.#epoch += 1;
    const at = { host: '127.0.0.1', port: this.#trunkPort };
    const origin = { node: this.#node, region: 'a', ...at };
    const granted = { stream, epoch: this.#epoch, node: this.#node, session, at };
    const grant = signGrant(granted, grantEndMs(Date.now()), this.#signer);
    this.published.set(stream, {
      session,
      state: { stream, epoch: this.#epoch, origin, since: 0, tracks, policy: this.#policy, grant },
    });
    return Promise.resolve({ epoch: this.#epoch, policy: this.#policy, grant });
  }

  policy(_stream: string): Promise<StreamPolicy> {
    return Promise.resolve(this.#policy);
  }

  describe(stream: string, epoch: number, _session: string, tracks: StreamState['tracks']): void {
    const holder = this.published.get(stream);
    if (holder?.state.epoch === epoch) holder.state = { ...holder.state, tracks };
  }

  unpublish(stream: string, epoch: number): void {
    if (this.published.get(stream)?.state.epoch === epoch) this.published.delete(stream);
  }

  resolve(stream: string): Promise<StreamState> {
    const holder = this.published.get(stream);
    return holder
      ? Promise.resolve(holder.state)
      : Promise.reject(
          new Problem(404, 'No such stream', { detail: `nobody publishes ${stream}`, headers: { 'retry-after': '2' } }),
        );
  }

  release(): void {
    // No listener is notified of changes.
  }

  alternatives(): Promise<string[]> {
    return Promise.resolve(this.#alternatives);
  }
}

/** The session that a response names, as a client resolves it (RFC 3986 section 5). */
export function sessionUrl(response: Response): string {
  return new URL(response.headers.get('location')!, response.url).href;
}

/** Polls until `probe` returns a truthy value. Rejects after `withinMs` with the name of the condition. */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 10_000,
): Promise<T> {
  const until = Date.now() + withinMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > until) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
