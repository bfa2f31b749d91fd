import { StreamName, type StreamPolicy, type StreamState } from '@millrace/api';
import { Problem } from '@millrace/service';
import type { types } from 'mediasoup';
import { z } from 'zod';
import { mimeName, offerPull, SUPPORTED_CODECS, type PushTrack } from '../sdp/index.ts';
import { newSessionId, Session } from './session.ts';
import type { OpenContext, OpenRequest } from './webrtc-push.ts';

const Srtp = z.strictObject({
  cryptoSuite: z.enum(['AES_CM_128_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_32', 'AEAD_AES_128_GCM', 'AEAD_AES_256_GCM']),
  /** Master key and salt of the client's own packets. */
  keyBase64: z.base64().max(128),
});

const Remote = {
  stream: StreamName,
  token: z.string().max(4096).optional(),
  group: z.string().min(1).max(128).optional(),
  /** Where the client receives; without it, it is where the first packet comes from. */
  address: z.strictObject({ ip: z.union([z.ipv4(), z.ipv6()]), port: z.number().int().min(1).max(65535) }).optional(),
  srtp: Srtp.optional(),
};

const PlainTrack = z.strictObject({
  kind: z.enum(['audio', 'video']),
  mimeType: z.string().max(64),
  payloadType: z.number().int().min(0).max(127),
  clockRate: z.number().int().positive(),
  channels: z.number().int().min(1).max(8).optional(),
  parameters: z.record(z.string().max(64), z.union([z.string().max(512), z.number()])).default({}),
  ssrc: z.number().int().min(1).max(0xffffffff),
});

export const PlainPushRequest = z.strictObject({ ...Remote, tracks: z.array(PlainTrack).min(1).max(16) });
export type PlainPushRequest = z.infer<typeof PlainPushRequest>;

export const PlainPullRequest = z.strictObject({ ...Remote });
export type PlainPullRequest = z.infer<typeof PlainPullRequest>;

export interface PlainContext extends OpenContext {
  listenAddress: string;
  announcedAddress: string;
  rtpPorts: { min: number; max: number };
}

interface PlainDescription {
  session: string;
  ip: string;
  /** RTP and RTCP together (RFC 5761). */
  port: number;
  srtp?: { cryptoSuite: string; keyBase64: string };
  tracks: {
    track: number;
    kind: string;
    mimeType: string;
    payloadType: number;
    clockRate: number;
    channels?: number;
    parameters: unknown;
    ssrc?: number;
  }[];
}

const KEYFRAME_REQUESTS = [
  { type: 'nack', parameter: 'pli' },
  { type: 'ccm', parameter: 'fir' },
];

/** RTP from a native client, no ICE, no DTLS. @throws Problem */
export async function openPlainPush(
  context: PlainContext,
  request: OpenRequest & { body: PlainPushRequest; mayPublish: (policy: StreamPolicy) => void },
): Promise<{ session: Session; body: PlainDescription }> {
  const { body } = request;
  const tracks = body.tracks.map((track, index) => plainTrack(track, index));
  const id = newSessionId();
  const published = await context.hub.publish({
    stream: request.stream,
    session: id,
    ...(request.user !== undefined ? { user: request.user } : {}),
    coreKey: body.group ?? request.user ?? request.stream,
    tracks,
    mayPublish: request.mayPublish,
    createTransport: (router) => openTransport(context, router, body),
  });
  const session = new Session({ ...request, id, clock: context.clock, timeouts: context.timeouts });
  session.bind({ kind: 'push', published });
  if (body.address) session.markConnected();
  const described = published.origin.tracks.map(({ track, kind, codec }) => ({
    track,
    kind,
    ...codecOf(codec),
    payloadType: body.tracks[track]!.payloadType,
  }));
  return { session, body: { session: session.id, ...describe(context, published.origin.transport), tracks: described } };
}

/** RTP to a native client. @throws Problem */
export async function openPlainPull(
  context: PlainContext,
  request: OpenRequest & { body: PlainPullRequest; state: StreamState },
): Promise<{ session: Session; body: PlainDescription }> {
  const distribution = await context.hub.distribute(request.state);
  const transport = await distribution.createTransport((router) => openTransport(context, router, request.body));
  const selections = offerPull(distribution.tracks, distribution.payloadTypes()).map((selection) => ({
    ...selection,
    rtxPayloadType: undefined,
    rtcpFeedback: selection.kind === 'video' ? KEYFRAME_REQUESTS : [],
    extensions: [],
  }));
  const viewer = await distribution.addViewer(transport, selections);
  const session = new Session({ ...request, clock: context.clock, timeouts: context.timeouts });
  session.bind({ kind: 'pull', viewer, selections });
  if (request.body.address) session.markConnected();
  const tracks = selections.map(({ track, kind }) => {
    const { codecs, encodings } = viewer.consumers.get(track)!.rtpParameters;
    return { track, kind, ...codecOf(codecs[0]!), payloadType: codecs[0]!.payloadType, ssrc: encodings![0]!.ssrc! };
  });
  return { session, body: { session: session.id, ...describe(context, transport), tracks } };
}

async function openTransport(
  context: PlainContext,
  router: types.Router,
  { address, srtp }: PlainPullRequest,
): Promise<types.PlainTransport> {
  const { listenAddress: ip, announcedAddress, rtpPorts } = context;
  if (srtp) checkKey(srtp);
  const transport = await router
    .createPlainTransport({
      listenInfo: { protocol: 'udp', ip, ...(announcedAddress !== ip ? { announcedAddress } : {}), portRange: rtpPorts },
      rtcpMux: true,
      comedia: address === undefined,
      ...(srtp ? { enableSrtp: true, srtpCryptoSuite: srtp.cryptoSuite } : {}),
    })
    .catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      throw new Problem(503, 'No RTP port', {
        detail: `none of ${rtpPorts.min}-${rtpPorts.max} could be opened (${why})`,
        headers: { 'retry-after': '5' },
      });
    });
  if (address || srtp) {
    await transport.connect({
      ...(address ?? {}),
      ...(srtp ? { srtpParameters: { cryptoSuite: srtp.cryptoSuite, keyBase64: srtp.keyBase64 } } : {}),
    });
  }
  return transport;
}

/** Key plus salt, in bytes (RFC 3711 section 8.2, RFC 7714 section 12). */
const KEY_BYTES = { AES_CM_128_HMAC_SHA1_80: 30, AES_CM_128_HMAC_SHA1_32: 30, AEAD_AES_128_GCM: 28, AEAD_AES_256_GCM: 44 };

function checkKey({ cryptoSuite, keyBase64 }: z.infer<typeof Srtp>): void {
  const bytes = Buffer.from(keyBase64, 'base64').length;
  if (bytes === KEY_BYTES[cryptoSuite]) return;
  throw new Problem(400, 'Invalid request body', {
    detail: `srtp.keyBase64: ${cryptoSuite} needs ${KEY_BYTES[cryptoSuite]} bytes of key and salt, these are ${bytes}; make them e.g. with "openssl rand -base64 ${KEY_BYTES[cryptoSuite]}"`,
  });
}

function describe(context: PlainContext, transport: types.PlainTransport): Pick<PlainDescription, 'ip' | 'port' | 'srtp'> {
  const { srtpParameters, tuple } = transport;
  return {
    ip: context.announcedAddress,
    port: tuple.localPort,
    ...(srtpParameters ? { srtp: { cryptoSuite: srtpParameters.cryptoSuite, keyBase64: srtpParameters.keyBase64 } } : {}),
  };
}

function plainTrack(track: z.infer<typeof PlainTrack>, index: number): PushTrack {
  const codec = { ...track, channels: track.kind === 'audio' ? (track.channels ?? 1) : undefined };
  const mimeType = mimeName(codec);
  if (!mimeType || !mimeType.startsWith(`${track.kind}/`)) {
    const known = [...SUPPORTED_CODECS.audio, ...SUPPORTED_CODECS.video].map(
      (entry) => `${entry.mimeType}/${entry.clockRate}${'channels' in entry ? `/${entry.channels}` : ''}`,
    );
    throw new Problem(400, 'Invalid request body', {
      detail: `tracks.${index}: ${track.mimeType}/${track.clockRate} is not relayed; use one of ${known.join(', ')}`,
    });
  }
  return {
    mid: String(index),
    kind: track.kind,
    rtpParameters: {
      codecs: [
        {
          mimeType,
          payloadType: track.payloadType,
          clockRate: track.clockRate,
          ...(codec.channels !== undefined ? { channels: codec.channels } : {}),
          parameters:
            mimeType === 'video/H264'
              ? { 'packetization-mode': 1, 'profile-level-id': '42e01f', ...track.parameters }
              : track.parameters,
          rtcpFeedback: track.kind === 'video' ? KEYFRAME_REQUESTS : [],
        },
      ],
      headerExtensions: [],
      encodings: [{ ssrc: track.ssrc }],
      rtcp: { reducedSize: true },
    },
  };
}

function codecOf(codec: { mimeType: string; clockRate: number; channels?: number; parameters?: unknown }): {
  mimeType: string;
  clockRate: number;
  channels?: number;
  parameters: unknown;
} {
  const { mimeType, clockRate, channels, parameters } = codec;
  return { mimeType, clockRate, ...(channels !== undefined ? { channels } : {}), parameters: parameters ?? {} };
}
