import type { types } from 'mediasoup';
import type { RemoteCodec, RemoteSection } from './description.ts';
import { distanceOf, mismatchOf, packetizationMode, type Mismatch } from './formats/matching.ts';
import { looksLikeRtcp, RTCP_LIKE_REMEDY } from './rtcp-mux.ts';
import { SdpError } from './sdp-error.ts';

/** The codecs that Millrace relays, named as in the RTP payload format registrations. */
export const SUPPORTED_CODECS = {
  audio: [{ mimeType: 'audio/opus', clockRate: 48000, channels: 2 }],
  video: [
    { mimeType: 'video/H264', clockRate: 90000 },
    { mimeType: 'video/VP8', clockRate: 90000 },
    { mimeType: 'video/VP9', clockRate: 90000 },
    { mimeType: 'video/AV1', clockRate: 90000 },
  ],
} as const;

const FEEDBACK = new Set(['nack ', 'nack pli', 'ccm fir', 'goog-remb ', 'transport-cc ']);

/** The registered spelling of a codec's name, e.g. `video/H264`; undefined when Millrace does not relay the codec. */
function mimeName(codec: Pick<RemoteCodec, 'mimeType' | 'clockRate' | 'channels'>): string | undefined {
  return [...SUPPORTED_CODECS.audio, ...SUPPORTED_CODECS.video].find((known) => isSameCodec(known, codec))?.mimeType;
}

export interface ChosenCodec {
  codec: RemoteCodec;
  rtx?: RemoteCodec;
}

/**
 * Chooses the codec of a publisher's section: the first in its list that Millrace relays. H.264 with packetization-mode 0 comes last, because frames larger
 * than a packet need fragments (mode 1).
 * @throws SdpError (406) when Millrace relays none of them
 */
export function choosePublished(section: RemoteSection): ChosenCodec {
  const known = section.codecs.filter((codec) => mimeName(codec) !== undefined);
  const usable = known.filter((codec) => whyUnusable(codec) === undefined);
  const codec = usable.find((candidate) => !isH264(candidate) || packetizationMode(candidate) === 1) ?? usable[0];
  if (codec) return { codec: relayedCodec(codec)!, ...withRtx(section, codec.payloadType) };
  if (known[0]) throw new SdpError(section.line, whyUnusable(known[0])!, 406);
  const names = SUPPORTED_CODECS[section.kind as 'audio' | 'video'].map((supported) => supported.mimeType.split('/')[1]);
  throw new SdpError(
    section.line,
    `no codec that is supported among ${offeredNames(section)}; offer one of ${names.join(', ')}`,
    406,
  );
}

/** Why a codec with a supported name cannot be carried, and the remedy; undefined when it can. */
function whyUnusable(codec: RemoteCodec): string | undefined {
  const name = codec.mimeType.split('/')[1];
  if (looksLikeRtcp(codec.payloadType)) return `payload type ${codec.payloadType} (${name}) is refused; ${RTCP_LIKE_REMEDY}`;
  if (isH264(codec) && packetizationMode(codec) > 1)
    return `H264 with packetization-mode ${packetizationMode(codec)} is not relayed; use 0 or 1 (RFC 6184 section 6)`;
  return undefined;
}

/**
 * Chooses the offered payload type under which a viewer receives `codec`: the closest format among those that its decoder accepts.
 * @throws SdpError (406) when there is none; it names the parameter that differs and the values of both sides
 */
export function choosePlayed(
  section: RemoteSection,
  codec: Pick<RemoteCodec, 'mimeType' | 'clockRate' | 'channels' | 'parameters'>,
): ChosenCodec {
  const named = section.codecs.filter((offered) => isSameCodec(offered, codec));
  const candidates = named
    .filter((offered) => whyUnusable(offered) === undefined && mismatchOf(offered, codec) === undefined)
    .map((offered) => ({ offered, distance: distanceOf(offered, codec) }));
  const [nearest] = candidates.sort((a, b) => a.distance - b.distance);
  if (nearest) return { codec: relayedCodec(nearest.offered)!, ...withRtx(section, nearest.offered.payloadType) };
  throw new SdpError(section.line, `${streamName(section, codec)}, ${whyNone(section, named, codec)}`, 406);
}

function whyNone(
  section: RemoteSection,
  named: readonly RemoteCodec[],
  codec: Pick<RemoteCodec, 'mimeType' | 'parameters'>,
): string {
  if (named.length === 0)
    return `offered are ${offeredNames(section)}; offer that codec, or play it with a client that decodes it`;
  const reasons = named.slice(0, MAX_REASONS).map((offered) => {
    const mismatch = mismatchOf(offered, codec);
    return mismatch ? describeMismatch(offered, mismatch) : whyUnusable(offered)!;
  });
  const more = named.length > reasons.length ? `, and ${named.length - reasons.length} more` : '';
  return `and none of the offered ones takes it: ${[...new Set(reasons)].join('; ')}${more}; play it with a client that decodes it, or publish it in a format that more decode`;
}

/** How many of a viewer's payload types an error explains when none fits. */
const MAX_REASONS = 6;

function describeMismatch({ payloadType }: RemoteCodec, { parameter, stream, offered }: Mismatch): string {
  return `payload type ${payloadType} differs in ${parameter}, the stream's is ${stream}, the offered one ${offered}`;
}

function streamName(section: RemoteSection, codec: Pick<RemoteCodec, 'mimeType' | 'parameters'>): string {
  const profile = (codec.parameters as Record<string, string | number> | undefined)?.['profile-level-id'];
  const name = `${codec.mimeType.split('/')[1]}${profile === undefined ? '' : ` with profile-level-id ${profile}`}`;
  return `the stream's ${section.kind} is ${name}`;
}

/**
 * Whether name, clock rate and channels are the same; fmtp parameters are not compared. Opus always has two channels (RFC 7587 section 7 requires "/2"), but
 * some clients write `opus/48000`.
 */
export function isSameCodec(
  a: Pick<RemoteCodec, 'mimeType' | 'clockRate' | 'channels'>,
  b: Pick<RemoteCodec, 'mimeType' | 'clockRate' | 'channels'>,
): boolean {
  const name = a.mimeType.toLowerCase();
  return (
    name === b.mimeType.toLowerCase() &&
    a.clockRate === b.clockRate &&
    (name === OPUS ? isMonoOrStereo(a) && isMonoOrStereo(b) : (a.channels ?? 1) === (b.channels ?? 1))
  );
}

const OPUS = 'audio/opus';

function isMonoOrStereo({ channels = 1 }: Pick<RemoteCodec, 'channels'>): boolean {
  return channels <= 2;
}

/** The offered RTCP feedback that a media worker understands. With transport-wide congestion control, REMB is redundant and left out. */
export function commonFeedback(offered: readonly types.RtcpFeedback[], transportCc: boolean): types.RtcpFeedback[] {
  return offered.filter(
    ({ type, parameter }) =>
      FEEDBACK.has(`${type} ${parameter ?? ''}`) &&
      (type !== 'transport-cc' || transportCc) &&
      (type !== 'goog-remb' || !transportCc),
  );
}

/** The codec names of a section, for error messages. */
export function offeredNames({ codecs }: RemoteSection): string {
  const names = codecs
    .map(({ mimeType }) => mimeType.split('/')[1]!.slice(0, 32))
    .filter((name) => !/^(rtx|red|ulpfec)$/i.test(name));
  return [...new Set(names)].slice(0, 10).join(', ') || 'none at all';
}

function withRtx(section: RemoteSection, payloadType: number): { rtx?: RemoteCodec } {
  const rtx = section.codecs.find(
    (codec) =>
      /\/rtx$/i.test(codec.mimeType) && Number(codec.parameters?.['apt']) === payloadType && !looksLikeRtcp(codec.payloadType),
  );
  return rtx ? { rtx: { ...rtx, mimeType: `${section.kind}/rtx`, parameters: { apt: payloadType }, rtcpFeedback: [] } } : {};
}

/** The codec with the registered spelling of its name; undefined when Millrace does not relay it. */
export function relayedCodec<C extends Pick<RemoteCodec, 'mimeType' | 'clockRate' | 'channels'>>(codec: C): C | undefined {
  const mimeType = mimeName(codec);
  return mimeType === undefined ? undefined : { ...codec, mimeType, ...(mimeType === OPUS ? { channels: 2 } : {}) };
}

function isH264(codec: Pick<RemoteCodec, 'mimeType'>): boolean {
  return codec.mimeType.toLowerCase() === 'video/h264';
}

/** Chromium starts at 300 kbps by default and then needs half a minute to reach the upper simulcast layers. */
const START_KBPS = 1500;

/** The fmtp parameters in the answer to a publisher. For Opus they ask for stereo and in-band FEC (RFC 7587 section 7). */
export function answeredParameters(codec: RemoteCodec, layered: boolean): Record<string, string | number> {
  const parameters = { ...(codec.parameters as Record<string, string | number>) };
  if (codec.mimeType === 'audio/opus') {
    // sprop-stereo=1: the publisher will send stereo; stereo=1: the receiver prefers stereo.
    if (Number(parameters['sprop-stereo'] ?? 0) === 1 || Number(parameters['stereo'] ?? 0) === 1) parameters['stereo'] = 1;
    parameters['useinbandfec'] = Number(parameters['useinbandfec'] ?? 1);
  }
  if (layered) parameters['x-google-start-bitrate'] = START_KBPS;
  return parameters;
}
