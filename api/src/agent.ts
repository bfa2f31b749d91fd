/**
 * The agent channel: JSON text messages over a WebSocket (GET /v1/agent) between a media node and control.
 * The node dials, proves who it is with a bearer token, and says `hello`; control answers `welcome` and keeps the node's snapshot current.
 */
import { z } from 'zod';
import { identifier } from './identifier.ts';
import { Grant } from './grants.ts';
import { Host, OtherHosts, type TrunkAddress } from './host.ts';
import { StreamName } from './stream-name.ts';
import { Epoch, NodeName, Port, RegionName, SessionId, StreamPolicy, StreamState, UserId } from './streams.ts';
import { NodeCertificate, NodeKey } from './node-certificate.ts';
import { PublisherSummary } from './publisher.ts';
import { PublicJwk } from './tokens.ts';
import { tracksSchema } from './trunk/description.ts';
import { MAX_PATH_HOPS } from './trunk/control-message.ts';

export const AGENT_PATH = '/v1/agent';
export const AGENT_SUBPROTOCOL = 'millrace.agent.v1';
/** Grows with each change that an older peer cannot ignore. */
export const AGENT_PROTOCOL = 1;
export const AGENT_OLDEST_PROTOCOL = 1;
/** Audience of the projected service-account token that a node shows. */
export const AGENT_TOKEN_AUDIENCE = 'millrace-control';
/** One message, either way. What names many streams is sent in pages (agent-pages.ts). */
export const AGENT_MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
/** Streams in one message; further ones follow in messages of their own. */
export const AGENT_PAGE_ITEMS = 5000;
/** Streams that a node publishes at most, and as many that it subscribes to. */
export const MAX_STREAMS_OF_NODE = 20_000;
/** As many sessions as a MediaNode may have capacity for. */
export const MAX_VIEWERS_OF_NODE = 1_000_000;
/** What a report lists at most. */
export const MAX_REPORT_STREAMS = 5000;
export const MAX_REPORT_LINKS = 500;
export const MAX_PROBLEMS = 16;
export const MAX_PROBLEM_CHARACTERS = 500;

/** WebSocket close codes (RFC 6455 section 7.4.2 leaves 4000-4999 to applications). The reason says the remedy. */
export const AgentClose = {
  badMessage: 4400,
  forbidden: 4403,
  helloTimeout: 4408,
  replaced: 4409,
  protocolUnsupported: 4426,
  /** RFC 6455 registry: the service restarts, come back later. */
  restart: 1012,
} as const;

export const Role = z.enum(['push', 'pull', 'relay']);
export type Role = z.infer<typeof Role>;

/** Measurements may miss the range by a hair. */
const percent = z.number().transform((value) => Math.min(100, Math.max(0, value)));
const nonNegative = z.number().nonnegative();
const RequestId = z.number().int().nonnegative();
/** Whether further pages of this message follow. */
const More = z.literal(true).optional();
/** Grows with each message that changes what the node runs, also across restarts of control. */
const Version = z.number().int().nonnegative();

export const NodeEndpoints = z.object({
  /** Base URL of WHIP, WHEP and the short signalling forms, without a trailing slash. */
  signalingUrl: z.url({ protocol: /^https?$/ }).max(512),
  /** Where other nodes and clients reach it: the address in the URLs here, and that of the trunks. */
  host: Host,
  /** At which its trunks are reached too. */
  otherHosts: OtherHosts.optional(),
  trunkPort: Port,
  mediaPorts: z.array(Port).max(128),
  opsUrl: z.url({ protocol: /^https?$/ }).max(512),
});
export type NodeEndpoints = z.infer<typeof NodeEndpoints>;

/** What a node or its MediaNode says of its endpoints, as the address that others dial. */
export function trunkAddressOf(endpoints: { host: string; otherHosts?: string[] | undefined; trunkPort: number }): TrunkAddress {
  const { host, otherHosts, trunkPort: port } = endpoints;
  return { host, ...(otherHosts?.length ? { otherHosts } : {}), port };
}

export const NodeLoad = z.object({
  cpuPercent: percent,
  egressMbps: nonNegative,
  ingressMbps: nonNegative,
  sessions: z.number().int().nonnegative(),
  publishers: z.number().int().nonnegative(),
  viewers: z.number().int().nonnegative(),
  streams: z.number().int().nonnegative(),
});
export type NodeLoad = z.infer<typeof NodeLoad>;

export const LinkState = z.enum(['Up', 'Degraded', 'Down']);
export type LinkState = z.infer<typeof LinkState>;

export const LinkReport = z.object({
  peer: NodeName,
  state: LinkState,
  rttMs: nonNegative,
  jitterMs: nonNegative,
  lossPercent: percent,
  /** Largest IP packet known to get through; absent while the trunk is down. */
  mtuBytes: z.number().int().nonnegative().max(65_535).optional(),
  sendKbps: nonNegative,
  recvKbps: nonNegative,
});
export type LinkReport = z.infer<typeof LinkReport>;

/** A stream that a node carries. `path`: upstream nodes, nearest first, the origin last; empty at the origin. */
export const StreamReport = z.object({
  stream: StreamName,
  epoch: Epoch,
  role: z.enum(['origin', 'relay', 'edge']),
  viewers: z.number().int().nonnegative().max(MAX_VIEWERS_OF_NODE),
  path: z.array(NodeName).max(MAX_PATH_HOPS),
  rttMs: nonNegative,
  lossPercent: percent,
  /** At the origin, while its publisher sends nothing: for how long so far, and in how long the name is free unless something comes. */
  silence: z.object({ forMs: nonNegative, freeInMs: nonNegative }).optional(),
  /** At the origin: whether what the publisher sends is of use. */
  publisher: PublisherSummary.optional(),
});
export type StreamReport = z.infer<typeof StreamReport>;

/** `at`: ms since the Unix epoch by the node's clock; control judges freshness by its own. */
export const Report = z.object({
  at: nonNegative,
  load: NodeLoad,
  links: z.array(LinkReport).max(MAX_REPORT_LINKS),
  streams: z.array(StreamReport).max(MAX_REPORT_STREAMS),
  /** What keeps the node from doing all its work, each with its remedy. */
  problems: z.array(identifier(MAX_PROBLEM_CHARACTERS)).max(MAX_PROBLEMS).optional(),
});
export type Report = z.infer<typeof Report>;

export const Publication = z.object({
  stream: StreamName,
  epoch: Epoch,
  session: SessionId,
  tracks: tracksSchema,
  /** With which control gave out the name. */
  grant: Grant,
});
export type Publication = z.infer<typeof Publication>;

export const Hello = z.object({
  type: z.literal('hello'),
  protocol: z.number().int().nonnegative(),
  node: NodeName,
  podUid: identifier(128),
  /** New at each start of the node's process. */
  bootId: identifier(64),
  /** ms since the Unix epoch at which the process started: of two live processes the later one is the node. */
  bootedAt: nonNegative,
  build: identifier(64),
  roles: z.array(Role).min(1).max(3),
  region: RegionName,
  provider: identifier(63),
  isp: identifier(63).optional(),
  endpoints: NodeEndpoints,
  /** By which the node proves on trunks who it is. */
  nodeKey: NodeKey,
  kernel: z.object({ rmemMax: nonNegative, wmemMax: nonNegative }),
  /** The cpuset of the process, as in /proc/self/status Cpus_allowed_list. */
  cpus: identifier(1024),
  cpusExclusive: z.boolean().optional(),
  haveVersion: Version.optional(),
  haveDigest: z.string().max(64).optional(),
  publications: z.array(Publication).max(AGENT_PAGE_ITEMS),
  subscriptions: z.array(StreamName).max(AGENT_PAGE_ITEMS),
  more: More,
});
export type Hello = z.infer<typeof Hello>;

export const PublishRequest = z.object({
  stream: StreamName,
  session: SessionId,
  /** The publisher's media token. Without one that counts, only a Public name is given out, and none that somebody holds whose node was heard in the last 5 s. */
  token: z.string().max(4096).optional(),
  /** The publisher's earlier session, which only it knows: where that one holds the name, this one takes it over, whatever the StreamRoute says. */
  replaces: SessionId.optional(),
  tracks: tracksSchema,
});
export type PublishRequest = z.infer<typeof PublishRequest>;

export const NodeMessage = z.discriminatedUnion('type', [
  Hello,
  /** Goes on with a hello that has `more`. */
  Hello.pick({ publications: true, subscriptions: true, more: true }).extend({ type: z.literal('holds') }),
  Report.extend({ type: z.literal('report') }),
  z.object({ type: z.literal('ack'), version: Version }),
  PublishRequest.extend({ type: z.literal('publish'), id: RequestId }),
  /** What is known of the tracks has changed, e.g. the order of their layers; of an epoch that does not live any more it is passed over. */
  z.object({ type: z.literal('describe'), stream: StreamName, epoch: Epoch, session: SessionId, tracks: tracksSchema }),
  z.object({ type: z.literal('unpublish'), stream: StreamName, epoch: Epoch, session: SessionId }),
  /** What holds for the stream, asked before any work is done for a client without a token. */
  z.object({ type: z.literal('policy'), id: RequestId, stream: StreamName }),
  z.object({ type: z.literal('resolve'), id: RequestId, stream: StreamName }),
  z.object({ type: z.literal('release'), stream: StreamName }),
  z.object({
    type: z.literal('alternatives'),
    id: RequestId,
    kind: z.enum(['push', 'pull']),
    stream: StreamName,
    user: UserId.optional(),
  }),
]);
export type NodeMessage = z.infer<typeof NodeMessage>;

/** Length of a mesh's pre-shared keys, bytes. */
export const TRUNK_KEY_BYTES = 32;

export const TrunkKey = z.object({ id: z.string().min(1).max(64), secret: z.string().min(1).max(128) });
export type TrunkKey = z.infer<typeof TrunkKey>;

/** What a RelayMesh says about trunks. keys: base64, the first is current, the others are still accepted. */
export const MeshSettings = z.object({
  name: z.string().max(253),
  keys: z.array(TrunkKey).max(4),
  kcp: z.object({
    intervalMs: z.number().int().positive(),
    fastResend: z.number().int().nonnegative(),
    sendWindow: z.number().int().positive(),
    receiveWindow: z.number().int().positive(),
    deadlineMs: z.number().int().positive(),
  }),
  fec: z.object({
    mode: z.enum(['Off', 'Fixed']),
    dataShards: z.number().int().positive(),
    parityShards: z.number().int().nonnegative(),
  }),
  rateCapMbps: z.number().positive(),
  probeIntervalMs: z.number().int().positive(),
  /** Over which a node averages what it reports of a trunk. */
  probeWindowMs: z.number().int().positive().optional(),
  fastReroute: z.object({ heartbeatMs: z.number().int().positive(), sensitivity: z.enum(['Low', 'Medium', 'High']) }),
});
export type MeshSettings = z.infer<typeof MeshSettings>;

/** Nodes whose addresses a node is given: those it probes, its relays, and those on its routes. */
export const MAX_SNAPSHOT_PEERS = 1500;

export const Peer = z.object({ node: NodeName, region: RegionName, host: Host, otherHosts: OtherHosts.optional(), port: Port });
export type Peer = z.infer<typeof Peer>;

/** hops: the nearest relay to this node first, the relay in the origin region last. */
export const SnapshotRoute = z.object({
  originRegion: RegionName,
  policy: z.string().max(64),
  paths: z.array(z.object({ hops: z.array(NodeName).max(MAX_PATH_HOPS) })).max(4),
});
export type SnapshotRoute = z.infer<typeof SnapshotRoute>;

/** Everything of a snapshot but the streams: changes seldom, and is compared by `digest` when a node comes back. */
export const NodeSettings = z.object({
  /** metadata.generation of the MediaNode that this was compiled from. */
  generation: z.number().int().nonnegative(),
  self: z.object({
    node: NodeName,
    region: RegionName,
    cordoned: z.boolean(),
    /** deadlineAt: ms since the Unix epoch. */
    drain: z.object({ policy: z.enum(['Move', 'Wait']), deadlineAt: nonNegative }).optional(),
    /** For the key of the node's hello. Absent before control has a key to sign with. */
    certificate: NodeCertificate.optional(),
  }),
  /** Control's public keys: they sign media tokens, grants and certificates. */
  tokenKeys: z.array(PublicJwk).max(8),
  mesh: MeshSettings.optional(),
  /** Nodes that this one dials: those it probes, its relays, those on its routes. An origin's address comes with its stream. */
  peers: z.array(Peer).max(MAX_SNAPSHOT_PEERS),
  /** Names, out of peers, of the nodes to probe. */
  probe: z.array(NodeName).max(500),
  /** The relays of its own region that this node is attached to; empty for relays. */
  relays: z.array(NodeName).max(8).default([]),
  routes: z.array(SnapshotRoute).max(500),
});
export type NodeSettings = z.infer<typeof NodeSettings>;

export const Snapshot = NodeSettings.extend({
  version: Version,
  digest: z.string().max(64),
  streams: z.array(StreamState),
});
export type Snapshot = z.infer<typeof Snapshot>;

const refusal = z.object({
  ok: z.literal(false),
  status: z.number().int().min(400).max(599),
  title: z.string().max(256),
  detail: z.string().max(1024).optional(),
  /** When asking again may help. */
  retryAfterSeconds: z.number().int().min(0).max(3600).optional(),
});

export const ControlMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('welcome'),
    protocol: z.number().int(),
    replica: z.string().max(253),
    /** Control pings this often; silence of three of them means that the connection is dead. */
    heartbeatMs: z.number().int().positive(),
    /** The node's own snapshot is current: none follows, and this is its version from now on. */
    resumedVersion: Version.optional(),
  }),
  Snapshot.extend({ type: z.literal('snapshot'), streams: z.array(StreamState).max(AGENT_PAGE_ITEMS), more: More }),
  /** Changes the streams of the snapshot with version `base`; full: these are all of them. A node with another version acks its own, and gets a snapshot. */
  z.object({
    type: z.literal('streams'),
    base: Version,
    version: Version,
    full: z.boolean(),
    changed: z.array(StreamState).max(AGENT_PAGE_ITEMS),
    removed: z.array(StreamName).max(AGENT_PAGE_ITEMS),
    more: More,
  }),
  /** Goes on with the snapshot, or the streams, of this version that has `more`. Nothing of it counts before the last page. */
  z.object({
    type: z.literal('more-streams'),
    version: Version,
    changed: z.array(StreamState).max(AGENT_PAGE_ITEMS),
    removed: z.array(StreamName).max(AGENT_PAGE_ITEMS),
    more: More,
  }),
  z.discriminatedUnion('ok', [
    z.object({
      type: z.literal('published'),
      id: RequestId,
      ok: z.literal(true),
      epoch: Epoch,
      policy: StreamPolicy,
      grant: Grant,
    }),
    refusal.extend({ type: z.literal('published'), id: RequestId }),
  ]),
  /** A publication's grant under the present key, in place of the one before. */
  z.object({ type: z.literal('granted'), stream: StreamName, epoch: Epoch, session: SessionId, grant: Grant }),
  z.discriminatedUnion('ok', [
    z.object({ type: z.literal('policy'), id: RequestId, ok: z.literal(true), policy: StreamPolicy }),
    refusal.extend({ type: z.literal('policy'), id: RequestId }),
  ]),
  z.discriminatedUnion('ok', [
    z.object({ type: z.literal('resolved'), id: RequestId, ok: z.literal(true), stream: StreamState }),
    refusal.extend({ type: z.literal('resolved'), id: RequestId }),
  ]),
  /** Base signalling URLs (NodeEndpoints.signalingUrl) of other nodes, best first. The node appends the path it was asked for. */
  z.object({ type: z.literal('alternatives'), id: RequestId, urls: z.array(z.string().max(512)).max(8) }),
  z.object({ type: z.literal('kick'), session: SessionId, stream: StreamName.optional(), reason: z.string().max(256) }),
  z.object({ type: z.literal('bye'), reason: z.string().max(256), reconnectAfterMs: nonNegative }),
]);
export type ControlMessage = z.infer<typeof ControlMessage>;
