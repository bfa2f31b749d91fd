/**
 * Streams: their names, what a publisher's tracks look like, who originates them, and the policy that a StreamRoute gives them.
 * Both ends of the agent channel and the HTTP APIs share these schemas.
 */
import { z } from 'zod';
import { Host, OtherHosts } from './host.ts';
import { identifier } from './identifier.ts';
import { StreamName } from './stream-name.ts';
import { DEFAULT_PATH_POLICY_KEY } from './path-policy.ts';
import { MAX_NODE_NAME } from './trunk/media-frame.ts';
import { trackDescriptionSchema, tracksSchema, type TrackDescription as Track } from './trunk/description.ts';

/** An exact stream name, or one with `*`, which stands for any run of characters inside its half (it never crosses the `/`). */
export const STREAM_PATTERN = /^[A-Za-z0-9_.*-]{1,64}\/[A-Za-z0-9_.*-]{1,128}$/;
/** Node names are pod names: RFC 1123 subdomains. */
export const NODE_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
export const REGION_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export const StreamPattern = z.string().regex(STREAM_PATTERN, 'must be app/name, with "*" for any run of characters in a half');
export const NodeName = z.string().max(MAX_NODE_NAME).regex(NODE_NAME, 'must be a pod name');
export const RegionName = z.string().regex(REGION_NAME, 'must be lower-case letters, digits and "-"');
export const SessionId = identifier(128);
export const UserId = identifier(256);
export const IpAddress = z.union([z.ipv4(), z.ipv6()]);
/** Unique and growing per stream name: max(wall ms, previous + 1). Fits 48 bits. */
export const Epoch = z
  .number()
  .int()
  .nonnegative()
  .max(2 ** 48 - 1);
export const Port = z.number().int().min(0).max(65535);

/** ids, SSRCs and payload type are those of the RTP that leaves the origin and travel verbatim on trunks. */
export const TrackDescription = trackDescriptionSchema;
export type TrackDescription = Track;
export type CodecDescription = TrackDescription['codec'];
export type LayerDescription = TrackDescription['layers'][number];

export const Access = z.enum(['Token', 'Public']);
export type Access = z.infer<typeof Access>;

/** What a stream's StreamRoute says about it, compiled. Without a matching StreamRoute: `DEFAULT_POLICY`. */
export const StreamPolicy = z.object({
  /** Names the path policy whose routes this stream follows (`Snapshot.routes[].policy`). */
  policyKey: z.string().min(1).max(64),
  /** The path policy demands something (via, avoid), so that no other path will do. Otherwise it is a preference: until its routes are known, others serve. */
  pathRequired: z.boolean().optional(),
  /** How long an edge keeps its upstream subscription after its last viewer. */
  lingerMs: z.number().int().nonnegative().max(3_600_000),
  onDuplicate: z.enum(['Reject', 'Takeover']),
  access: z.object({ publish: Access, play: Access }),
  maxPublishKbps: z.number().int().positive().optional(),
  /** Regions that may serve viewers; absent: all. */
  playRegions: z.array(RegionName).max(64).optional(),
});
export type StreamPolicy = z.infer<typeof StreamPolicy>;

export const DEFAULT_POLICY: StreamPolicy = {
  policyKey: DEFAULT_PATH_POLICY_KEY,
  lingerMs: 10_000,
  onDuplicate: 'Reject',
  access: { publish: 'Token', play: 'Token' },
};

export const StreamOrigin = z.object({
  node: NodeName,
  region: RegionName,
  host: Host,
  otherHosts: OtherHosts.optional(),
  port: Port,
});
export type StreamOrigin = z.infer<typeof StreamOrigin>;

/** A published stream as a node that carries or wants it needs to know it. `since`: ms since the Unix epoch. */
export const StreamState = z.object({
  stream: StreamName,
  epoch: Epoch,
  origin: StreamOrigin,
  since: z.number().nonnegative(),
  /** With which control gave out this epoch to the origin: shown to other nodes. */
  grant: z.string().max(1024).optional(),
  tracks: tracksSchema.optional(),
  policy: StreamPolicy,
  /** This node keeps the stream also while nobody plays it here (StreamRoute distribution.prewarm). */
  hold: z.boolean().optional(),
});
export type StreamState = z.infer<typeof StreamState>;

/** Whether `stream` (a stream name) fits `pattern`. Linear in both, whatever the number of stars. */
export function matchesStreamPattern(pattern: string, stream: string): boolean {
  if (!pattern.includes('*')) return pattern === stream;
  const patternSlash = pattern.indexOf('/');
  const streamSlash = stream.indexOf('/');
  if (patternSlash < 0 || streamSlash < 0) return false;
  return (
    matchesHalf(pattern.slice(0, patternSlash), stream.slice(0, streamSlash)) &&
    matchesHalf(pattern.slice(patternSlash + 1), stream.slice(streamSlash + 1))
  );
}

function matchesHalf(pattern: string, text: string): boolean {
  const parts = pattern.split('*');
  if (parts.length === 1) return pattern === text;
  const first = parts[0]!;
  const last = parts[parts.length - 1]!;
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
  // The leftmost place for each middle part leaves the most room for the rest, so no backtracking is needed.
  let from = first.length;
  const end = text.length - last.length;
  for (const part of parts.slice(1, -1)) {
    const at = text.indexOf(part, from);
    if (at < 0 || at + part.length > end) return false;
    from = at + part.length;
  }
  return from <= end;
}
