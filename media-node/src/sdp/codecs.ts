import { Profile, parseSdpProfileLevelId } from 'h264-profile-level-id';
import type { types } from 'mediasoup';
import type { RemoteSection } from './description.ts';
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
export function mimeName(codec: Pick<RtpCodec, 'mimeType' | 'clockRate' | 'channels'>): string | undefined {
  return [...SUPPORTED_CODECS.audio, ...SUPPORTED_CODECS.video].find(
    (known) =>
      known.mimeType.toLowerCase() === codec.mimeType.toLowerCase() &&
      known.clockRate === codec.clockRate &&
      (!('channels' in known) || known.channels === codec.channels),
  )?.mimeType;
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
  const usable = section.codecs.filter((codec) => mimeName(codec) !== undefined && isUsable(codec));
  const codec = usable.find((candidate) => !isH264(candidate) || packetizationMode(candidate) === 1) ?? usable[0];
  if (!codec) {
    const names = SUPPORTED_CODECS[section.kind as 'audio' | 'video'].map((known) => known.mimeType.split('/')[1]);
    throw new SdpError(
      section.line,
      `no codec that is supported among ${offeredNames(section)}; offer one of ${names.join(', ')}`,
      406,
    );
  }
  return { codec: normalise(codec), ...withRtx(section, codec.payloadType) };
}

/** The offered payload type under which a viewer takes `codec`, if there is one. */
export function choosePlayed(
  section: RemoteSection,
  codec: Pick<RtpCodec, 'mimeType' | 'clockRate' | 'channels' | 'parameters'>,
): ChosenCodec | undefined {
  const candidates = section.codecs.filter((offered) => isSameCodec(offered, codec) && canDecode(offered, codec));
  // A viewer lists a profile more than once (with other levels, say): prefer the very same one.
  const exact = candidates.find((offered) => !isH264(offered) || h264Profile(offered) === h264Profile(codec));
  const chosen = exact ?? candidates[0];
  return chosen && { codec: normalise(chosen), ...withRtx(section, chosen.payloadType) };
}

/** Same name, clock rate and channels; parameters apart. */
export function isSameCodec(
  a: Pick<RtpCodec, 'mimeType' | 'clockRate' | 'channels'>,
  b: Pick<RtpCodec, 'mimeType' | 'clockRate' | 'channels'>,
): boolean {
  return (
    a.mimeType.toLowerCase() === b.mimeType.toLowerCase() &&
    a.clockRate === b.clockRate &&
    (a.channels ?? 1) === (b.channels ?? 1)
  );
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
  const rtx = section.codecs.find((codec) => /\/rtx$/i.test(codec.mimeType) && Number(codec.parameters?.['apt']) === payloadType);
  return rtx ? { rtx: { ...rtx, mimeType: `${section.kind}/rtx`, parameters: { apt: payloadType }, rtcpFeedback: [] } } : {};
}

function normalise(codec: RtpCodec): RtpCodec {
  return { ...codec, mimeType: mimeName(codec) ?? codec.mimeType };
}

function isUsable(codec: RtpCodec): boolean {
  return !isH264(codec) || h264Profile(codec) !== undefined;
}

function isH264(codec: Pick<RtpCodec, 'mimeType'>): boolean {
  return codec.mimeType.toLowerCase() === 'video/h264';
}

function packetizationMode(codec: Pick<RtpCodec, 'parameters'>): number {
  return Number(codec.parameters?.['packetization-mode'] ?? 0);
}

function h264Profile(codec: Pick<RtpCodec, 'parameters'>): Profile | undefined {
  return parseSdpProfileLevelId(codec.parameters)?.profile;
}

/** Profiles whose decoders must also take the key's streams (H.264 Annex A.2). */
const DECODED_BY: Partial<Record<Profile, readonly Profile[]>> = {
  [Profile.ConstrainedBaseline]: [
    Profile.ConstrainedBaseline,
    Profile.Baseline,
    Profile.Main,
    Profile.ConstrainedHigh,
    Profile.High,
  ],
  [Profile.Baseline]: [Profile.Baseline],
  [Profile.Main]: [Profile.Main, Profile.High],
  [Profile.ConstrainedHigh]: [Profile.ConstrainedHigh, Profile.High],
  [Profile.High]: [Profile.High],
  [Profile.PredictiveHigh444]: [Profile.PredictiveHigh444],
};

function canDecode(offered: RtpCodec, stream: Pick<RtpCodec, 'mimeType' | 'parameters'>): boolean {
  const name = stream.mimeType.toLowerCase();
  if (name === 'video/vp9' || name === 'video/av1') {
    const key = name === 'video/vp9' ? 'profile-id' : 'profile';
    return Number(offered.parameters?.[key] ?? 0) === Number(stream.parameters?.[key] ?? 0);
  }
  if (name !== 'video/h264') return true;
  const made = h264Profile(stream);
  const taken = h264Profile(offered);
  if (made === undefined || taken === undefined || packetizationMode(offered) < packetizationMode(stream)) return false;
  return DECODED_BY[made]?.includes(taken) ?? false;
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
