import type { types } from 'mediasoup';
import type { RemoteSection } from './description.ts';
import { distanceOf, mismatchOf, packetizationMode, type Mismatch } from './formats/matching.ts';
import { looksLikeRtcp, RTCP_LIKE_REMEDY } from './rtcp-mux.ts';
import { SdpError } from './sdp-error.ts';

type RtpCodec = types.RtpCodecParameters;

/** What is relayed. Names as in the RTP payload format registrations. */
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

/** The registered spelling (`video/H264`) of a codec's name, if it is one that is relayed. */
function mimeName(codec: Pick<RtpCodec, 'mimeType' | 'clockRate' | 'channels'>): string | undefined {
  return [...SUPPORTED_CODECS.audio, ...SUPPORTED_CODECS.video].find((known) => isSameCodec(known, codec))?.mimeType;
}

export interface ChosenCodec {
  codec: RtpCodec;
  rtx?: RtpCodec;
}

/**
 * The publisher's codec for a section: the first of its list that is relayed. H.264 packets with packetization-mode 0 go last: fragments (mode 1) are
 * needed for frames larger than a packet.
 * @throws SdpError (406) when none is.
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

/** A codec that can be matched by name but not carried: why, and what to do about it. */
function whyUnusable(codec: RtpCodec): string | undefined {
  const name = codec.mimeType.split('/')[1];
  if (looksLikeRtcp(codec.payloadType)) return `payload type ${codec.payloadType} (${name}) is refused; ${RTCP_LIKE_REMEDY}`;
  if (isH264(codec) && packetizationMode(codec) > 1)
    return `H264 with packetization-mode ${packetizationMode(codec)} is not relayed; use 0 or 1 (RFC 6184 section 6)`;
  return undefined;
}

/**
 * The offered payload type under which a viewer takes `codec`: of those that its decoder takes, the nearest.
 * @throws SdpError (406) when there is none, with the parameter that differs and its values on both sides
 */
export function choosePlayed(
  section: RemoteSection,
  codec: Pick<RtpCodec, 'mimeType' | 'clockRate' | 'channels' | 'parameters'>,
): ChosenCodec {
  const named = section.codecs.filter((offered) => isSameCodec(offered, codec));
  const candidates = named
    .filter((offered) => whyUnusable(offered) === undefined && mismatchOf(offered, codec) === undefined)
    .map((offered) => ({ offered, distance: distanceOf(offered, codec) }));
  const [nearest] = candidates.sort((a, b) => a.distance - b.distance);
  if (nearest) return { codec: relayedCodec(nearest.offered)!, ...withRtx(section, nearest.offered.payloadType) };
  throw new SdpError(section.line, `${streamName(section, codec)}, ${whyNone(section, named, codec)}`, 406);
}

function whyNone(section: RemoteSection, named: readonly RtpCodec[], codec: Pick<RtpCodec, 'mimeType' | 'parameters'>): string {
  if (named.length === 0)
    return `offered are ${offeredNames(section)}; offer that codec, or play it with a client that decodes it`;
  const reasons = named.slice(0, MAX_REASONS).map((offered) => {
    const mismatch = mismatchOf(offered, codec);
    return mismatch ? describeMismatch(offered, mismatch) : whyUnusable(offered)!;
  });
  const more = named.length > reasons.length ? `, and ${named.length - reasons.length} more` : '';
  return `and none of the offered ones takes it: ${[...new Set(reasons)].join('; ')}${more}; play it with a client that decodes it, or publish it in a format that more decode`;
}

/** As many of a viewer's payload types are gone into when none fits. */
const MAX_REASONS = 6;

function describeMismatch({ payloadType }: RtpCodec, { parameter, stream, offered }: Mismatch): string {
  return `payload type ${payloadType} differs in ${parameter}, the stream's is ${stream}, the offered one ${offered}`;
}

function streamName(section: RemoteSection, codec: Pick<RtpCodec, 'mimeType' | 'parameters'>): string {
  const profile = (codec.parameters as Record<string, string | number> | undefined)?.['profile-level-id'];
  const name = `${codec.mimeType.split('/')[1]}${profile === undefined ? '' : ` with profile-level-id ${profile}`}`;
  return `the stream's ${section.kind} is ${name}`;
}

/**
 * Same name, clock rate and channels; parameters apart. Opus has two channels whatever is written, and some clients write `opus/48000` (RFC 7587
 * section 7 wants "/2").
 */
export function isSameCodec(
  a: Pick<RtpCodec, 'mimeType' | 'clockRate' | 'channels'>,
  b: Pick<RtpCodec, 'mimeType' | 'clockRate' | 'channels'>,
): boolean {
  const name = a.mimeType.toLowerCase();
  return (
    name === b.mimeType.toLowerCase() &&
    a.clockRate === b.clockRate &&
    (name === OPUS ? isMonoOrStereo(a) && isMonoOrStereo(b) : (a.channels ?? 1) === (b.channels ?? 1))
  );
}

const OPUS = 'audio/opus';

function isMonoOrStereo({ channels = 1 }: Pick<RtpCodec, 'channels'>): boolean {
  return channels <= 2;
}

/** Feedback of `offered` that a worker understands. Transport-wide congestion control makes REMB superfluous. */
export function commonFeedback(offered: readonly types.RtcpFeedback[], transportCc: boolean): types.RtcpFeedback[] {
  return offered.filter(
    ({ type, parameter }) =>
      FEEDBACK.has(`${type} ${parameter ?? ''}`) &&
      (type !== 'transport-cc' || transportCc) &&
      (type !== 'goog-remb' || !transportCc),
  );
}

/** The codecs of a section by name, for people. */
export function offeredNames({ codecs }: RemoteSection): string {
  const names = codecs
    .map(({ mimeType }) => mimeType.split('/')[1]!.slice(0, 32))
    .filter((name) => !/^(rtx|red|ulpfec)$/i.test(name));
  return [...new Set(names)].slice(0, 10).join(', ') || 'none at all';
}

function withRtx(section: RemoteSection, payloadType: number): { rtx?: RtpCodec } {
  const rtx = section.codecs.find(
    (codec) =>
      /\/rtx$/i.test(codec.mimeType) && Number(codec.parameters?.['apt']) === payloadType && !looksLikeRtcp(codec.payloadType),
  );
  return rtx ? { rtx: { ...rtx, mimeType: `${section.kind}/rtx`, parameters: { apt: payloadType }, rtcpFeedback: [] } } : {};
}

/** A codec as it is relayed, with the registered spelling of its name; undefined when it is not. */
export function relayedCodec<C extends Pick<RtpCodec, 'mimeType' | 'clockRate' | 'channels'>>(codec: C): C | undefined {
  const mimeType = mimeName(codec);
  return mimeType === undefined ? undefined : { ...codec, mimeType, ...(mimeType === OPUS ? { channels: 2 } : {}) };
}

function isH264(codec: Pick<RtpCodec, 'mimeType'>): boolean {
  return codec.mimeType.toLowerCase() === 'video/h264';
}

/** Chromium begins at 300 kbps and takes half a minute to reach the upper simulcast layers unless told otherwise. */
const START_KBPS = 1500;

/** What the answer to a publisher says of its codec: what it may send, which for Opus is a matter of fmtp (RFC 7587 section 7). */
export function answeredParameters(codec: RtpCodec, layered: boolean): Record<string, string | number> {
  const parameters = { ...(codec.parameters as Record<string, string | number>) };
  if (codec.mimeType === 'audio/opus') {
    // sprop-stereo: the publisher is about to send stereo; stereo=1: we want it.
    if (Number(parameters['sprop-stereo'] ?? 0) === 1 || Number(parameters['stereo'] ?? 0) === 1) parameters['stereo'] = 1;
    parameters['useinbandfec'] = Number(parameters['useinbandfec'] ?? 1);
  }
  if (layered) parameters['x-google-start-bitrate'] = START_KBPS;
  return parameters;
}
