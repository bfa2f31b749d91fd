import { MAX_LAYERS, MAX_TRACKS } from '@millrace/api/trunk';
import type { types } from 'mediasoup';
import { answeredParameters, choosePublished, commonFeedback } from './codecs.ts';
import type { RemoteDescription, RemoteRid, RemoteSection } from './description.ts';
import { hasExtension, receivedExtensions } from './extensions.ts';
import { writtenChannels } from './pull.ts';
import { SdpError } from './sdp-error.ts';
import type { LocalSection } from './write.ts';

/** A published track, with the RTP parameters for the worker's producer. */
export interface PushTrack {
  mid: string;
  kind: 'audio' | 'video';
  rtpParameters: types.RtpParameters;
}

export interface PushNegotiation {
  tracks: PushTrack[];
  /** One for each m= line of the offer, in its order. */
  answer: LocalSection[];
}

/** Codecs that the media worker forwards as simulcast (mediasoup, Codecs::Tools::IsValidTypeForCodec). For others the answer asks for the best layer only. */
const SIMULCAST_CODECS: readonly string[] = ['video/VP8', 'video/H264'];

/**
 * Negotiates a publisher's offer: the tracks to receive and the sections of the answer.
 * @throws SdpError
 */
export function negotiatePush(offer: RemoteDescription, options: { maxKbps?: number } = {}): PushNegotiation {
  const tracks: PushTrack[] = [];
  const answer: LocalSection[] = [];
  for (const section of offer.sections) {
    if (section.rejected || section.kind === 'application' || section.direction === 'inactive') {
      answer.push({ mid: section.mid, rejectedLine: section.line });
      continue;
    }
    if (section.direction === 'recvonly') {
      throw new SdpError(`a=recvonly (mid ${section.mid})`, 'a publisher sends; use a=sendonly (RFC 9725 section 4.2)');
    }
    const { track, local } = negotiateSection(section, section.kind, options.maxKbps);
    tracks.push(track);
    answer.push(local);
  }
  tracks.forEach((track, index) => requireDistinct(track, tracks.toSpliced(index, 1)));
  if (tracks.length === 0)
    throw new SdpError(offer.sections[0]!.line, 'nothing is sent; offer at least one sendonly audio or video section');
  if (tracks.length > MAX_TRACKS)
    throw new SdpError(`${tracks.length} sending m= lines`, `at most ${MAX_TRACKS} are allowed`, 406);
  return { tracks, answer };
}

/** Packets identify their track by MID, by SSRC, or by a payload type that no other track has (RFC 8843 section 9.2). */
function requireDistinct({ mid, kind, rtpParameters }: PushTrack, others: readonly PushTrack[]): void {
  const { codecs, encodings = [], headerExtensions = [] } = rtpParameters;
  const [first = {}] = encodings;
  if (first.ssrc !== undefined || first.rid !== undefined || hasExtension(headerExtensions, 'mid')) return;
  const { payloadType } = codecs[0]!;
  if (!others.some((other) => other.rtpParameters.codecs[0]!.payloadType === payloadType)) return;
  throw new SdpError(
    `m=${kind} (mid ${mid}): a=ssrc missing`,
    `payload type ${payloadType} belongs to another section too, so packets cannot be told apart; send a=ssrc lines or the sdes:mid header extension`,
  );
}

function negotiateSection(
  section: RemoteSection,
  kind: 'audio' | 'video',
  maxKbps: number | undefined,
): { track: PushTrack; local: LocalSection } {
  const { codec, rtx } = choosePublished(section);
  const headerExtensions = receivedExtensions(
    kind,
    section.extensions.filter((ext) => ext.direction !== 'recvonly' && ext.direction !== 'inactive'),
  );
  const transportCc =
    hasExtension(headerExtensions, 'transport-cc') && (codec.rtcpFeedback ?? []).some((fb) => fb.type === 'transport-cc');
  const media = { ...codec, rtcpFeedback: commonFeedback(codec.rtcpFeedback ?? [], transportCc) };
  const codecs = rtx ? [media, rtx] : [media];
  const rids = requestedLayers(section.sendRids, codec.mimeType);
  const encodings = encodingsOf(section, rids, codec.mimeType, rtx !== undefined);
  const single = encodings.length === 1 && encodings[0]!.ssrc === undefined && encodings[0]!.rid === undefined;
  if (
    encodings.some((encoding) => encoding.rid !== undefined) &&
    !section.extensions.some((ext) => ext.uri.endsWith(':sdes:rtp-stream-id'))
  ) {
    throw new SdpError(
      `a=simulcast (mid ${section.mid})`,
      'layers are told apart by the sdes:rtp-stream-id header extension; offer it with a=extmap',
    );
  }
  const rtpParameters: types.RtpParameters = {
    mid: section.mid,
    codecs: codecs.map((entry) => ({ ...entry, parameters: { ...entry.parameters } })),
    // The worker drops packets whose RID belongs to no encoding, so it must not read RIDs where the MID suffices.
    headerExtensions: single ? headerExtensions.filter(({ uri }) => !uri.endsWith('rtp-stream-id')) : headerExtensions,
    encodings,
    rtcp: { ...(section.cname ? { cname: section.cname } : {}), reducedSize: true },
  };
  const local: LocalSection = {
    mid: section.mid,
    kind,
    direction: 'recvonly',
    codecs: [
      { ...media, ...writtenChannels(section, media.payloadType), parameters: answeredParameters(media, encodings.length > 1) },
      ...(rtx ? [rtx] : []),
    ],
    extensions: headerExtensions,
    // RFC 8853 section 5.3: the answer keeps the order of the offer and omits unwanted layers.
    ...(section.sendRids.length > 1 || encodings.some((encoding) => encoding.rid !== undefined)
      ? { receivedRids: section.sendRids.filter((rid) => rids.includes(rid)).map((rid) => rid.id) }
      : {}),
    ...(maxKbps !== undefined && kind === 'video' ? { maxKbps } : {}),
  };
  return { track: { mid: section.mid, kind, rtpParameters }, local };
}

/** The layers that the answer requests, lowest first. */
function requestedLayers(offered: readonly RemoteRid[], mimeType: string): RemoteRid[] {
  const ordered = orderLayers(offered);
  return SIMULCAST_CODECS.includes(mimeType) ? ordered : ordered.slice(-1);
}

function encodingsOf(
  section: RemoteSection,
  rids: readonly RemoteRid[],
  mimeType: string,
  withRtx: boolean,
): types.RtpEncodingParameters[] {
  if (section.sendRids.length <= 1) return ssrcEncodings(section, rids[0], withRtx);
  // With several RIDs, SSRC lines do not tell which RID an SSRC belongs to (Firefox lists both). A codec without simulcast sends a single stream, identified
  // by its MID: Chromium may send it under the first RID, whichever the answer requests.
  return rids.length > 1 ? ridEncodings(rids, mimeType) : [{}];
}

function ridEncodings(rids: readonly RemoteRid[], mimeType: string): types.RtpEncodingParameters[] {
  return rids.map((rid) => ({
    rid: rid.id,
    // Browsers send three temporal layers with VP8 simulcast. If a client sends fewer, the upper ones stay empty.
    ...(mimeType === 'video/VP8' ? { scalabilityMode: 'L1T3' } : {}),
    ...(rid.restrictions['max-br'] ? { maxBitrate: rid.restrictions['max-br'] } : {}),
  }));
}

function ssrcEncodings(section: RemoteSection, rid: RemoteRid | undefined, withRtx: boolean): types.RtpEncodingParameters[] {
  const simulcast = section.ssrcGroups.find((group) => group.semantics === 'SIM')?.ssrcs ?? [];
  const repairOf = (ssrc: number): number | undefined =>
    section.ssrcGroups.find((group) => group.semantics === 'FID' && group.ssrcs[0] === ssrc)?.ssrcs[1];
  if (simulcast.length > MAX_LAYERS) {
    throw new SdpError(
      `a=ssrc-group:SIM (mid ${section.mid})`,
      `has ${simulcast.length} layers; at most ${MAX_LAYERS} are allowed`,
    );
  }
  const primary = simulcast.length > 1 ? simulcast : section.ssrcs.slice(0, 1);
  if (rid && primary.length === 0) return [{ rid: rid.id }];
  if (primary.length === 0) return [{}];
  return primary.map((ssrc) => {
    const repair = withRtx ? repairOf(ssrc) : undefined;
    return { ssrc, ...(repair !== undefined ? { rtx: { ssrc: repair } } : {}) };
  });
}

/**
 * Orders layers from lowest to highest, as far as SDP tells: by size or rate limits where all layers have them (RFC 8851 section 4), else by well-known
 * names, else by the order of the offer. RIDs numbered from 0, as OBS sends them, are in order of preference, best first (RFC 8853 section 5.2). Other names
 * are in the browsers' default order, lowest first (WebRTC section 5.2). The result is only a guess: relay/layer-order.ts corrects it from the packets.
 */
function orderLayers(rids: readonly RemoteRid[]): RemoteRid[] {
  const rank = rankOf(rids);
  return rank ? [...rids].sort((a, b) => rank(a) - rank(b)) : [...rids];
}

function rankOf(rids: readonly RemoteRid[]): ((rid: RemoteRid) => number) | undefined {
  for (const limit of LIMITS) {
    const sizes = new Set(rids.map((rid) => limit(rid)));
    if (!sizes.has(undefined) && sizes.size === rids.length) return (rid) => limit(rid)!;
  }
  const names = rids.map(({ id }) => id.toLowerCase());
  const known = NAMED_LAYERS.find((each) => names.every((name) => each.includes(name)));
  if (known) return ({ id }) => known.indexOf(id.toLowerCase());
  const isNumbered = names.every((_, number) => names.includes(String(number)));
  return isNumbered ? ({ id }) => -Number(id) : undefined;
}

const LIMITS: readonly ((rid: RemoteRid) => number | undefined)[] = [
  ({ restrictions }) => restrictions['max-height'],
  ({ restrictions }) => restrictions['max-width'],
  ({ restrictions }) => restrictions['max-fs'],
  ({ restrictions }) => restrictions['max-br'],
];

const NAMED_LAYERS: readonly (readonly string[])[] = [
  ['q', 'h', 'f'],
  ['l', 'm', 'h'],
  ['lo', 'mid', 'hi'],
  ['low', 'medium', 'high'],
  ['low', 'middle', 'high'],
  ['low', 'mid', 'high'],
  ['quarter', 'half', 'full'],
  ['small', 'medium', 'large'],
];
