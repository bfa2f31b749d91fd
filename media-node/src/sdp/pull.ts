import type { TrackDescription } from '@millrace/api';
import type { types } from 'mediasoup';
import { choosePlayed, commonFeedback, offeredNames } from './codecs.ts';
import type { RemoteDescription, RemoteSection } from './description.ts';
import { UNAGREED_MID, agreedExtensions, hasExtension, type HeaderExtension } from './extensions.ts';
import { SdpError } from './sdp-error.ts';

/** A track that a viewer takes, and under which numbers. */
export interface PullSelection {
  mid: string;
  kind: 'audio' | 'video';
  track: number;
  /** The viewer's own number for the codec. */
  payloadType: number;
  rtxPayloadType?: number;
  parameters: Record<string, unknown>;
  rtcpFeedback: types.RtcpFeedback[];
  /** Stands in the packets where the worker writes the mid. */
  wireMid: string;
  /** Agreed on: the same id at both ends. */
  extensions: HeaderExtension[];
}

export interface PullNegotiation {
  /** In the offer's order; refused sections have no selection. */
  sections: { mid: string; line: string; selection?: PullSelection }[];
}

/**
 * Which of a stream's tracks a viewer's offer takes: the n-th section of a kind gets the n-th track of that kind.
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
  if (!chosen) {
    const profile = track.codec.parameters?.['profile-level-id'];
    const name = `${track.codec.mimeType.split('/')[1]}${profile === undefined ? '' : ` with profile-level-id ${profile}`}`;
    throw new SdpError(
      section.line,
      `the stream's ${kind} is ${name}, offered are ${offeredNames(section)}; offer that codec, or play it with a client that decodes it`,
      406,
    );
  }
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
    rtcpFeedback: feedback.filter((fb) => fb.type !== 'goog-remb' || hasExtension(agreed, 'abs-send-time')),
    wireMid: hasExtension(agreed, 'mid') ? section.mid : UNAGREED_MID,
    extensions: agreed,
  };
}

/** A sender's fmtp says what it sends; for H.264 the profile agreed on is the viewer's (RFC 6184 section 8.2.2). */
function answerParameters(track: TrackDescription, offered: types.RtpCodecParameters): Record<string, unknown> {
  if (track.codec.mimeType !== 'video/H264') return { ...track.codec.parameters };
  return { ...track.codec.parameters, ...offered.parameters };
}
