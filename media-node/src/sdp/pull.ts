import type { TrackDescription } from '@millrace/api';
import type { types } from 'mediasoup';
import { choosePlayed, commonFeedback } from './codecs.ts';
import type { RemoteDescription, RemoteSection } from './description.ts';
import { UNAGREED_MID, agreedExtensions, hasExtension, type HeaderExtension } from './extensions.ts';
import { SdpError } from './sdp-error.ts';

/** A track that a viewer receives, with the negotiated payload types and extensions. */
export interface PullSelection {
  mid: string;
  kind: 'audio' | 'video';
  track: number;
  /** The viewer's payload type for the codec. */
  payloadType: number;
  rtxPayloadType?: number;
  parameters: Record<string, unknown>;
  /** Audio channels as the viewer wrote them; absent for video and for the node's own offers. */
  channels?: number;
  rtcpFeedback: types.RtcpFeedback[];
  /** The mid that the worker writes into packets. */
  wireMid: string;
  /** Negotiated extensions, with the same id at both ends. */
  extensions: HeaderExtension[];
}

export interface PullNegotiation {
  /** In the order of the offer. A rejected section has no selection. */
  sections: { mid: string; line: string; selection?: PullSelection }[];
}

/**
 * Assigns a stream's tracks to the sections of a viewer's offer: the n-th section of a kind gets the n-th track of that kind.
 * @throws SdpError
 */
export function negotiatePull(offer: RemoteDescription, tracks: readonly TrackDescription[]): PullNegotiation {
  const waiting = [...tracks];
  const sections = offer.sections.map((section) => {
    const refused: PullNegotiation['sections'][number] = { mid: section.mid, line: section.line };
    if (section.rejected || section.kind === 'application' || section.direction === 'inactive') return refused;
    if (section.direction === 'sendonly')
      throw new SdpError(`a=sendonly (mid ${section.mid})`, 'a viewer receives; use a=recvonly');
    const at = waiting.findIndex((track) => track.kind === section.kind);
    if (at < 0) return refused;
    const [track] = waiting.splice(at, 1);
    return { ...refused, selection: select(section, section.kind, track!) };
  });
  if (!sections.some(({ selection }) => selection)) {
    const kinds = [...new Set(tracks.map((track) => track.kind))].join(' and ') || 'no media yet';
    throw new SdpError(offer.sections[0]!.line, `the stream has ${kinds}; offer a recvonly section for it`, 406);
  }
  return { sections };
}

function select(section: RemoteSection, kind: 'audio' | 'video', track: TrackDescription): PullSelection {
  const chosen = choosePlayed(section, track.codec);
  const agreed = agreedExtensions(kind, section.extensions, track.headerExtensions);
  const transportCc = hasExtension(agreed, 'transport-cc');
  const feedback = commonFeedback(chosen.codec.rtcpFeedback ?? [], transportCc);
  return {
    mid: section.mid,
    kind,
    track: track.track,
    payloadType: chosen.codec.payloadType,
    ...(chosen.rtx ? { rtxPayloadType: chosen.rtx.payloadType } : {}),
    parameters: answerParameters(track, chosen.codec),
    ...writtenChannels(section, chosen.codec.payloadType),
    rtcpFeedback: feedback.filter((fb) => fb.type !== 'goog-remb' || hasExtension(agreed, 'abs-send-time')),
    wireMid: hasExtension(agreed, 'mid') ? section.mid : UNAGREED_MID,
    extensions: agreed,
  };
}

/**
 * The fmtp parameters in the answer to a viewer: those of the stream. For H.264 the negotiated format parameters are the viewer's own, and those that it
 * omitted stay omitted, because some clients compare the answer with their offer (RFC 6184 section 8.2.2).
 */
function answerParameters(track: TrackDescription, offered: types.RtpCodecParameters): Record<string, unknown> {
  const sent = Object.entries(track.codec.parameters ?? {});
  if (track.codec.mimeType !== 'video/H264') return Object.fromEntries(sent);
  return { ...Object.fromEntries(sent.filter(([name]) => !AGREED_H264.has(name))), ...offered.parameters };
}

const AGREED_H264 = new Set(['profile-level-id', 'packetization-mode', 'level-asymmetry-allowed']);

/** The channels as offered, for the answer to repeat: a client that wrote `opus/48000` may not accept `opus/48000/2`. */
export function writtenChannels(section: RemoteSection, payloadType: number): { channels?: number } {
  const channels = section.codecs.find((codec) => codec.payloadType === payloadType)?.channels;
  return channels === undefined ? {} : { channels };
}
