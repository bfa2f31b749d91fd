/**
 * Control's HTTP API: what apps call to place a publisher or a viewer, and what the console draws.
 */
import { z } from 'zod';
import { identifier } from './identifier.ts';
import { LinkState, NodeLoad, Role } from './agent.ts';
import { StreamName } from './stream-name.ts';
import { PublisherSummary } from './publisher.ts';
import { Epoch, IpAddress, NodeName, RegionName, StreamPolicy, TrackDescription, UserId } from './streams.ts';

/** Body of POST /v1/push and /v1/pull. */
export const PlacementRequest = z.strictObject({
  stream: StreamName,
  user: UserId.optional(),
  /** Wins over clientAddress, which wins over isp. */
  region: RegionName.optional(),
  clientAddress: IpAddress.optional(),
  /** Where plain RTP comes from and goes to, when that is not the address from which the client calls the node. */
  rtpTo: IpAddress.optional(),
  isp: identifier(63).optional(),
  /** Requests of one group go to the same node while it has room. */
  group: identifier(128).optional(),
  /** Nodes that the client could not reach. */
  exclude: z.array(NodeName).max(32).optional(),
});
export type PlacementRequest = z.infer<typeof PlacementRequest>;

/** url: WHIP (push) or WHEP (pull). signaling: base URL of the short forms. */
export const Place = z.object({ node: NodeName, region: RegionName, url: z.string(), signaling: z.string() });
export type Place = z.infer<typeof Place>;

export const IceServer = z.object({
  urls: z.array(z.string().max(256)).min(1).max(8),
  username: z.string().optional(),
  credential: z.string().optional(),
});
export type IceServer = z.infer<typeof IceServer>;

/** expiresAt: RFC 3339. */
export const PlacementResponse = Place.extend({
  stream: StreamName,
  token: z.string(),
  expiresAt: z.iso.datetime(),
  iceServers: z.array(IceServer),
  alternatives: z.array(Place),
});
export type PlacementResponse = z.infer<typeof PlacementResponse>;

/** Why a node cannot take the request; in the 503 problem as `reasons`. */
export const ExclusionReason = z.enum([
  'WrongRole',
  'RegionNotAllowed',
  'Excluded',
  'NoHttps',
  'Disconnected',
  'StaleReport',
  'Cordoned',
  'Draining',
  'SessionsFull',
  'EgressFull',
  'CpuFull',
]);
export type ExclusionReason = z.infer<typeof ExclusionReason>;
export const NodeReason = z.object({ node: NodeName, reason: ExclusionReason });
export type NodeReason = z.infer<typeof NodeReason>;

/** POST /signaling/push and /signaling/pull and /signaling/sendanswer: control only reads these, then redirects (307). */
export const SignalingRequest = z.looseObject({
  stream: StreamName.optional(),
  token: z.string().max(4096).optional(),
  session: z.string().max(512).optional(),
});
export type SignalingRequest = z.infer<typeof SignalingRequest>;

/** One place where a stream is served: measured, from the edge's own report. hops: upstream nodes, nearest first, the origin last. */
export const StreamPath = z.object({
  node: NodeName,
  region: RegionName,
  role: z.enum(['origin', 'relay', 'edge']),
  viewers: z.number().int().nonnegative(),
  hops: z.array(NodeName),
  rttMs: z.number().nonnegative(),
  lossPercent: z.number().min(0).max(100),
});
export type StreamPath = z.infer<typeof StreamPath>;

/** since: RFC 3339. route: name of the StreamRoute that applies. */
export const StreamView = z.object({
  stream: StreamName,
  epoch: Epoch,
  since: z.iso.datetime(),
  origin: z.object({ node: NodeName, region: RegionName }),
  viewers: z.number().int().nonnegative(),
  tracks: z.array(TrackDescription),
  policy: StreamPolicy,
  route: z.string().optional(),
  /** As the origin judges what its publisher sends; absent until it has said so. */
  publisher: PublisherSummary.optional(),
  /** How many nodes carry it. */
  nodes: z.number().int().nonnegative(),
  /** How it gets to them; of many nodes the origin and those with most viewers. */
  paths: z.array(StreamPath),
});
export type StreamView = z.infer<typeof StreamView>;

/** Query of GET /v1/streams. continue: of the page before. */
export const StreamListQuery = z.object({
  prefix: z.string().max(200).optional().describe('only streams whose names begin so'),
  limit: z.coerce.number<string | number>().int().min(1).max(500).default(100).describe('streams on a page'),
  continue: z.string().max(200).optional().describe('`continue` of the page before'),
});

/** GET /v1/streams */
export const StreamList = z.object({ items: z.array(StreamView), continue: z.string().optional() });
export type StreamList = z.infer<typeof StreamList>;

export const TopologyNode = z.object({
  node: NodeName,
  edge: z.string(),
  region: RegionName,
  provider: z.string(),
  isp: z.string().optional(),
  roles: z.array(Role),
  connected: z.boolean(),
  cordoned: z.boolean(),
  draining: z.boolean(),
  signalingUrl: z.string().optional(),
  load: NodeLoad.optional(),
});
export type TopologyNode = z.infer<typeof TopologyNode>;

export const TopologyLink = z.object({
  from: NodeName,
  to: NodeName,
  state: LinkState,
  rttMs: z.number(),
  jitterMs: z.number(),
  lossPercent: z.number(),
  sendKbps: z.number(),
});
export type TopologyLink = z.infer<typeof TopologyLink>;

/** Media flows from origin region `from` to viewer region `to`; hops in that node's order: nearest relay first. */
export const TopologyRoute = z.object({
  from: RegionName,
  to: RegionName,
  node: NodeName,
  policy: z.string(),
  hops: z.array(NodeName),
  backup: z.array(NodeName).optional(),
});
export type TopologyRoute = z.infer<typeof TopologyRoute>;

/** GET /v1/topology, and each `topology` event of GET /v1/topology/events (SSE). at: RFC 3339. Bounded: truncated says what was cut. */
export const Topology = z.object({
  at: z.iso.datetime(),
  regions: z.array(
    z.object({
      region: RegionName,
      nodes: z.number().int(),
      sessions: z.number().int(),
      viewers: z.number().int(),
      egressMbps: z.number(),
    }),
  ),
  nodes: z.array(TopologyNode),
  links: z.array(TopologyLink),
  routes: z.array(TopologyRoute),
  streams: z.array(StreamView),
  truncated: z.array(z.enum(['nodes', 'links', 'routes', 'streams'])),
});
export type Topology = z.infer<typeof Topology>;

/** Session ids of the short signalling forms name their node, so that control can redirect an answer to where the offer came from. */
export function signalingSessionId(node: string, id: string): string {
  return `${node}~${id}`;
}

/** The node of such an id; undefined where it names none. */
export function nodeOfSignalingSession(session: string): string | undefined {
  const end = session.indexOf('~');
  const node = session.slice(0, Math.max(0, end));
  return NodeName.safeParse(node).success ? node : undefined;
}
