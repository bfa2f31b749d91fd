/** A media node's HTTP signalling: bodies of requests and answers beside SDP. */
import { z } from 'zod';
import { identifier, MediaType, parameterValue, token } from './identifier.ts';
import { MAX_CODEC_PARAMETERS, MAX_PARAMETER_NAME, MAX_PARAMETER_VALUE } from './trunk/description.ts';
import { MAX_LAYERS, MAX_TRACKS } from './trunk/media-frame.ts';
import { StreamName } from './stream-name.ts';
import { PublisherStatus } from './publisher.ts';
import { IpAddress } from './streams.ts';

/** A session description with all its candidates, in bytes; the largest offers of browsers stay below 20 KiB. */
export const MAX_SDP_BYTES = 64 * 1024;

const Sdp = z
  .string()
  .min(1)
  .max(MAX_SDP_BYTES)
  .refine((sdp) => Buffer.byteLength(sdp) <= MAX_SDP_BYTES, `at most ${MAX_SDP_BYTES} bytes`);
/** In place of the Authorization header, which browsers drop on a redirect. */
const Token = z.string().min(1).max(4096).optional();
const Group = identifier(128).optional();

/** Unguessable (128 random bits); the short forms write `<node>~<id>`. */
export const SessionRef = identifier(512);

/** POST /signaling/push: the client offers. */
export const ShortPushRequest = z.object({ stream: StreamName, token: Token, sdp: Sdp, group: Group });
/** POST /signaling/pull: the node offers. */
export const ShortPullRequest = z.object({ stream: StreamName, token: Token });
export const AnswerRequest = z.object({ session: SessionRef, sdp: Sdp });
export const StopRequest = z.object({ session: SessionRef });

export const ShortPushResponse = z.object({ session: SessionRef, sdp: z.string() });
/** resource, events: the WHEP session and its events, relative to the URL of the request. */
export const ShortPullResponse = z.object({ session: SessionRef, sdp: z.string(), resource: z.string(), events: z.string() });
export const SessionResponse = z.object({ session: SessionRef });

/** What a viewer wants of the layers; without spatialLayer: the best again. */
export const LayerPreference = z.strictObject({
  track: z
    .number()
    .int()
    .min(0)
    .max(MAX_TRACKS - 1)
    .optional(),
  spatialLayer: z
    .number()
    .int()
    .min(0)
    .max(MAX_LAYERS - 1)
    .optional(),
  temporalLayer: z.number().int().min(0).max(7).optional(),
});

const Srtp = z.strictObject({
  cryptoSuite: z.enum(['AES_CM_128_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_32', 'AEAD_AES_128_GCM', 'AEAD_AES_256_GCM']),
  /** Master key and salt of the client's own packets. */
  keyBase64: z.base64().max(128),
});
export type Srtp = z.infer<typeof Srtp>;

const Remote = {
  stream: StreamName,
  token: z.string().max(4096).optional(),
  group: Group,
  /** Where the client sends from and receives. Packets from elsewhere are dropped. */
  address: z.strictObject({ ip: IpAddress, port: z.number().int().min(1).max(65535) }).optional(),
  srtp: Srtp.optional(),
};

const PlainTrack = z.strictObject({
  kind: z.enum(['audio', 'video']),
  mimeType: MediaType,
  payloadType: z.number().int().min(0).max(127),
  clockRate: z.number().int().min(1).max(1_000_000),
  channels: z.number().int().min(1).max(8).optional(),
  parameters: z
    .record(token(MAX_PARAMETER_NAME), z.union([parameterValue(MAX_PARAMETER_VALUE), z.number()]))
    .refine((all) => Object.keys(all).length <= MAX_CODEC_PARAMETERS, `at most ${MAX_CODEC_PARAMETERS} parameters`)
    .default({}),
  /** Absent: learned from the first packets of this payload type. */
  ssrc: z.number().int().min(1).max(0xffffffff).optional(),
});
export type PlainTrack = z.infer<typeof PlainTrack>;

/** POST /rtp/push */
export const PlainPushRequest = z.strictObject({ ...Remote, tracks: z.array(PlainTrack).min(1).max(MAX_TRACKS) });
export type PlainPushRequest = z.infer<typeof PlainPushRequest>;

/** POST /rtp/pull */
export const PlainPullRequest = z.strictObject(Remote);
export type PlainPullRequest = z.infer<typeof PlainPullRequest>;

/** ip, port: the node's, RTP and RTCP together (RFC 5761). srtp: key of the node's packets. ssrc: only of a pull. */
export const PlainDescription = z.object({
  session: SessionRef,
  ip: z.string(),
  port: z.number().int().min(1).max(65535),
  srtp: Srtp.optional(),
  tracks: z.array(
    z.object({
      track: z.number().int().nonnegative(),
      kind: z.enum(['audio', 'video']),
      mimeType: z.string(),
      payloadType: z.number().int().min(0).max(127),
      clockRate: z.number().int().positive(),
      channels: z.number().int().positive().optional(),
      parameters: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
      ssrc: z.number().int().positive().optional(),
    }),
  ),
});
export type PlainDescription = z.infer<typeof PlainDescription>;

/** GET on a session. since: when it was opened, RFC 3339. state: `interrupted` while its transport is lost and may come back. publisher: whether what a publisher sends is of use; absent before the first look, a second at most. */
export const SessionStatus = z.object({
  session: SessionRef,
  stream: StreamName,
  kind: z.enum(['push', 'pull']),
  protocol: z.enum(['whip', 'whep', 'short', 'rtp']),
  state: z.enum(['pending', 'connected', 'interrupted', 'displaced', 'closed']),
  since: z.iso.datetime(),
  publisher: PublisherStatus.optional(),
});
export type SessionStatus = z.infer<typeof SessionStatus>;

const Layers = z.object({ spatialLayer: z.number().int(), temporalLayer: z.number().int().optional() });
/** spatialLayers: how many the stream has. current: what is sent; null: nothing yet. preferred: the requested layers; absent: the best ones. */
export const LayerState = z.object({
  track: z.number().int().nonnegative(),
  spatialLayers: z.number().int().positive(),
  current: Layers.nullable(),
  preferred: Layers.optional(),
});
export const LayersResponse = z.object({ layers: z.array(LayerState) });

const why = z.object({ reason: z.string() });
/** Events of a session, by name. move: go to another node before deadlineAt (RFC 3339). paused: the publisher is gone, another is waited for. ended, final: another publisher has the name; coming back would take it from that one. publisher: what a publisher sends has begun or ceased to be of use. */
export const SessionNotices = {
  move: z.object({ url: z.string(), signaling: z.string(), reason: z.string(), deadlineAt: z.iso.datetime() }),
  paused: why,
  resumed: z.object({}),
  ended: z.object({ reason: z.string(), final: z.literal(true).optional() }),
  layers: z.array(LayerState),
  publisher: PublisherStatus,
};
