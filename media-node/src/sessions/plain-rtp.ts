import type {
  PlainDescription,
  PlainPullRequest,
  PlainPushRequest,
  PlainTrack,
  Srtp,
  StreamPolicy,
  StreamState,
} from '@millrace/api';
import { canonicalHost, ipFamilyOf } from '@millrace/api';
import { Problem } from '@millrace/service';
import type { types } from 'mediasoup';
import { WILDCARD } from '../addresses/index.ts';
import { listenInfo } from '../media/index.ts';
import { looksLikeRtcp, offerPull, relayedCodec, RTCP_LIKE_REMEDY, SUPPORTED_CODECS, type PushTrack } from '../sdp/index.ts';
import { newSessionId, Session } from './session.ts';
import { requireAddress, type OpenContext, type OpenRequest } from './webrtc-push.ts';

export interface PlainContext extends OpenContext {
  /** IP addresses that media sockets may be bound to. */
  binds: readonly string[];
  rtpPorts: { min: number; max: number };
}

/** `client`: IP address of the request's connection. */
type PlainRequest = OpenRequest & { client: string | undefined };

const KEYFRAME_REQUESTS = [
  { type: 'nack', parameter: 'pli' },
  { type: 'ccm', parameter: 'fir' },
];

/** RTP from a native client, no ICE, no DTLS. @throws Problem */
export async function openPlainPush(
  context: PlainContext,
  request: PlainRequest & { body: PlainPushRequest; mayPublish: (policy: StreamPolicy) => void },
): Promise<{ session: Session; body: PlainDescription }> {
  const { body } = request;
  const local = localAddress(context, request);
  const tracks = body.tracks.map((track, index) => plainTrack(track, index));
  body.tracks.forEach((track, index) => requireDistinct(track, index, body.tracks));
  const id = newSessionId();
  const published = await context.hub.publish({
    stream: request.stream,
    session: id,
    ...(request.user !== undefined ? { user: request.user } : {}),
    coreKey: body.group ?? request.user ?? request.stream,
    tracks,
    mayPublish: request.mayPublish,
    createTransport: (router) => openTransport(context, router, local, body),
  });
  const session = new Session({ ...request, id, clock: context.clock, timeouts: context.timeouts });
  session.bind({ kind: 'push', published });
  const described = published.origin.tracks.map(({ track, kind, codec }) => ({
    track,
    kind,
    ...codecOf(codec),
    payloadType: body.tracks[track]!.payloadType,
  }));
  return { session, body: { session: session.id, ...describe(local, published.origin.transport), tracks: described } };
}

/** RTP to a native client. @throws Problem */
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
  if (request.body.address) session.markConnected();
  const tracks = selections.map(({ track, kind }) => {
    const { codecs, encodings } = viewer.consumers.get(track)!.rtpParameters;
    return { track, kind, ...codecOf(codecs[0]!), payloadType: codecs[0]!.payloadType, ssrc: encodings![0]!.ssrc! };
  });
  return { session, body: { session: session.id, ...describe(local, transport), tracks } };
}

async function openTransport(
  context: PlainContext,
  router: types.Router,
  local: string,
  { address, srtp }: PlainPullRequest,
): Promise<types.PlainTransport> {
  const { binds, rtpPorts } = context;
  const bind = binds.includes(local) ? local : WILDCARD[ipFamilyOf(local)!];
  // With neither, the session would be whose packet comes first.
  if (!address && !srtp)
    throw new Problem(400, 'Invalid request body', {
      detail: 'address or srtp: one is needed; say where you send from and receive, or encrypt with keys of your own',
    });
  if (srtp) checkKey(srtp);
  const transport = await router
    .createPlainTransport({
      listenInfo: listenInfo(bind, { portRange: rtpPorts }),
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
      ...(address ? { ip: canonicalHost(address.ip), port: address.port } : {}),
      ...(srtp ? { srtpParameters: { cryptoSuite: srtp.cryptoSuite, keyBase64: srtp.keyBase64 } } : {}),
    });
  }
  return transport;
}

/** The address of this node that the client is told: of the family in which it sends and receives. @throws Problem 400, 503 */
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

/** Key plus salt, in bytes (RFC 3711 section 8.2, RFC 7714 section 12). */
const KEY_BYTES = { AES_CM_128_HMAC_SHA1_80: 30, AES_CM_128_HMAC_SHA1_32: 30, AEAD_AES_128_GCM: 28, AEAD_AES_256_GCM: 44 };

function checkKey({ cryptoSuite, keyBase64 }: Srtp): void {
  const bytes = Buffer.from(keyBase64, 'base64').length;
  if (bytes === KEY_BYTES[cryptoSuite]) return;
  throw new Problem(400, 'Invalid request body', {
    detail: `srtp.keyBase64: ${cryptoSuite} needs ${KEY_BYTES[cryptoSuite]} bytes of key and salt, these are ${bytes}; make them e.g. with "openssl rand -base64 ${KEY_BYTES[cryptoSuite]}"`,
  });
}

function describe(ip: string, transport: types.PlainTransport): Pick<PlainDescription, 'ip' | 'port' | 'srtp'> {
  const { srtpParameters, tuple } = transport;
  return {
    ip,
    port: tuple.localPort,
    ...(srtpParameters ? { srtp: { cryptoSuite: srtpParameters.cryptoSuite, keyBase64: srtpParameters.keyBase64 } } : {}),
  };
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
      // A name for the worker, which wants one where the SSRC is not known; no packet carries it.
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
      // Without an SSRC: it is learned from the first packets.
      encodings: [track.ssrc === undefined ? {} : { ssrc: track.ssrc }],
      rtcp: { reducedSize: true },
    },
  };
}

/** Without an SSRC a track is known by its payload type, which must be its own then. */
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
  // mediasoup checks them to be strings and numbers.
  const known = (parameters ?? {}) as PlainDescription['tracks'][number]['parameters'];
  return { mimeType, clockRate, ...(channels !== undefined ? { channels } : {}), parameters: known };
}
