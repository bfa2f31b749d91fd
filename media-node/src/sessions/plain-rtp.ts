import type { PlainDescription, PlainPullRequest, PlainPushRequest, PlainTrack, StreamState } from '@millrace/api';
import { ipFamilyOf } from '@millrace/api';
import { isSameAddress, Problem, type Logger } from '@millrace/service';
import type { types } from 'mediasoup';
import { looksLikeRtcp, offerPull, relayedCodec, RTCP_LIKE_REMEDY, SUPPORTED_CODECS, type PushTrack } from '../sdp/index.ts';
import {
  clientFacing,
  openPushTransport,
  openTransport,
  type ClientFacing,
  type PlainTransportContext,
} from './plain-transport.ts';
import { newSessionId, Session } from './session.ts';
import { requireAddress, type OpenContext, type OpenRequest } from './webrtc-push.ts';

export type PlainContext = OpenContext & PlainTransportContext & { logger: Logger };

/** `client`: IP address of the request's connection. `rtpTo`: another address that the token names. */
type PlainRequest = OpenRequest & { client: string | undefined; rtpTo: string | undefined };

/** Why a session ends whose packets come from elsewhere. Constant: it is a metric label too. */
const FOREIGN_SENDER = 'packets came from an address that is neither the caller’s nor the "rtpTo" of its token';

const KEYFRAME_REQUESTS = [
  { type: 'nack', parameter: 'pli' },
  { type: 'ccm', parameter: 'fir' },
];

/** Opens a publisher's session over plain RTP, without ICE and DTLS. @throws Problem */
export async function openPlainPush(
  context: PlainContext,
  request: PlainRequest & { body: PlainPushRequest; token: string },
): Promise<{ session: Session; body: PlainDescription }> {
  const { body } = request;
  const local = localAddress(context, request);
  const tracks = body.tracks.map((track, index) => plainTrack(track, index));
  body.tracks.forEach((track, index) => requireDistinct(track, index, body.tracks));
  const id = newSessionId();
  let address: ClientFacing | undefined;
  const published = await context.hub.publish({
    stream: request.stream,
    session: id,
    token: request.token,
    coreKey: body.group ?? request.user ?? request.stream,
    tracks,
    createTransport: async (router) => {
      const opened = await openPushTransport(context, router, local, body);
      address = opened.address;
      return opened.transport;
    },
  });
  const session = new Session({ ...request, id, clock: context.clock, timeouts: context.timeouts });
  session.bind({ kind: 'push', published });
  requireSender(context, session, published.origin.transport, request);
  const described = published.origin.tracks.map(({ track, kind, codec }) => ({
    track,
    kind,
    ...codecOf(codec),
    payloadType: body.tracks[track]!.payloadType,
  }));
  return { session, body: { session: session.id, ...address!, tracks: described } };
}

/** Opens a viewer's session over plain RTP. @throws Problem */
export async function openPlainPull(
  context: PlainContext,
  request: PlainRequest & { body: PlainPullRequest; state: StreamState },
): Promise<{ session: Session; body: PlainDescription }> {
  const local = localAddress(context, request);
  const distribution = await context.hub.distribute(request.state);
  const transport = await distribution.createTransport((router) => openTransport(context, router, local, request.body));
  const selections = offerPull(distribution.tracks, distribution.payloadTypes()).map((selection) => ({
    ...selection,
    rtxPayloadType: undefined,
    rtcpFeedback: selection.kind === 'video' ? KEYFRAME_REQUESTS : [],
    extensions: [],
  }));
  const viewer = await distribution.addViewer(transport, selections);
  const session = new Session({ ...request, clock: context.clock, timeouts: context.timeouts });
  session.bind({ kind: 'pull', viewer, selections });
  requireSender(context, session, transport, request);
  const tracks = selections.map(({ track, kind }) => {
    const { codecs, encodings } = viewer.consumers.get(track)!.rtpParameters;
    return { track, kind, ...codecOf(codecs[0]!), payloadType: codecs[0]!.payloadType, ssrc: encodings![0]!.ssrc! };
  });
  return { session, body: { session: session.id, ...clientFacing(local, transport), tracks } };
}

/**
 * Without an address in the request, the client is where its first packet comes from, which may have a forged source. As `requireRtpTarget` demands of an
 * address in the request, that must be the caller's own or the one that its token names; otherwise the session ends.
 */
function requireSender(
  context: PlainContext,
  session: Session,
  transport: types.PlainTransport,
  request: PlainRequest & { body: PlainPullRequest },
): void {
  const { client = '', rtpTo = '', body } = request;
  if (body.address) return;
  const check = ({ remoteIp }: types.TransportTuple): void => {
    if (remoteIp === undefined || isSameAddress(remoteIp, client) || isSameAddress(remoteIp, rtpTo)) return;
    context.logger.warn({ session: session.id, stream: session.stream, remoteIp, client, rtpTo }, FOREIGN_SENDER);
    session.close(FOREIGN_SENDER);
  };
  transport.on('tuple', check);
  // A packet may have come while the session was being set up.
  check(transport.tuple);
}

/** The node's address for this client, of the family in which the client sends and receives. @throws Problem 400, 503 */
function localAddress(context: PlainContext, { client, body }: PlainRequest & { body: PlainPullRequest }): string {
  requireAddress(context);
  const { addresses } = context;
  const local = addresses.towards(body.address?.ip ?? client);
  if (local !== undefined) return local;
  if (!body.address) return addresses.current[0]!;
  const family = ipFamilyOf(body.address.ip) === 6 ? 'IPv6' : 'IPv4';
  throw new Problem(400, 'Invalid request body', {
    detail: `address.ip: ${body.address.ip} is ${family}, and this node has no ${family} address (it has ${addresses.current.join(', ')}); name an address of the other family`,
  });
}

function plainTrack(track: PlainTrack, index: number): PushTrack {
  const codec = relayedCodec({ ...track, channels: track.kind === 'audio' ? (track.channels ?? 1) : undefined });
  const mimeType = codec?.mimeType;
  if (!codec || !mimeType?.startsWith(`${track.kind}/`)) {
    const known = [...SUPPORTED_CODECS.audio, ...SUPPORTED_CODECS.video].map(
      (entry) => `${entry.mimeType}/${entry.clockRate}${'channels' in entry ? `/${entry.channels}` : ''}`,
    );
    throw new Problem(400, 'Invalid request body', {
      detail: `tracks.${index}: ${track.mimeType}/${track.clockRate} is not relayed; use one of ${known.join(', ')}`,
    });
  }
  if (looksLikeRtcp(track.payloadType)) {
    throw new Problem(400, 'Invalid request body', {
      detail: `tracks.${index}.payloadType: ${track.payloadType} is refused; ${RTCP_LIKE_REMEDY}`,
    });
  }
  return {
    mid: String(index),
    kind: track.kind,
    rtpParameters: {
      // The worker needs a MID where the SSRC is unknown; no packet carries it.
      mid: String(index),
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
      // Without an SSRC, it is learned from the first packets.
      encodings: [track.ssrc === undefined ? {} : { ssrc: track.ssrc }],
      rtcp: { reducedSize: true },
    },
  };
}

/** Without an SSRC, a track is identified by its payload type, which no other track may have. */
function requireDistinct({ ssrc, payloadType }: PlainTrack, index: number, all: readonly PlainTrack[]): void {
  if (ssrc !== undefined || all.every((other, at) => at === index || other.payloadType !== payloadType)) return;
  throw new Problem(400, 'Invalid request body', {
    detail: `tracks.${index}.ssrc: missing, and payload type ${payloadType} belongs to another track too, so packets cannot be told apart; say the SSRC or use another payload type`,
  });
}

function codecOf(codec: {
  mimeType: string;
  clockRate: number;
  channels?: number;
  parameters?: unknown;
}): Pick<PlainDescription['tracks'][number], 'mimeType' | 'clockRate' | 'channels' | 'parameters'> {
  const { mimeType, clockRate, channels, parameters } = codec;
  // mediasoup has checked that they are strings and numbers.
  const known = (parameters ?? {}) as PlainDescription['tracks'][number]['parameters'];
  return { mimeType, clockRate, ...(channels !== undefined ? { channels } : {}), parameters: known };
}
