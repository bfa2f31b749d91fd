import type { TrackDescription } from '@millrace/api';
import { commonFeedback, isSameCodec } from './codecs.ts';
import { announcedExtensions } from './extensions.ts';
import type { RemoteDescription } from './description.ts';
import type { PullSelection } from './pull.ts';
import { SdpError } from './sdp-error.ts';

const OFFERED_FEEDBACK = {
  audio: [],
  video: [{ type: 'nack' }, { type: 'nack', parameter: 'pli' }, { type: 'ccm', parameter: 'fir' }, { type: 'transport-cc' }],
};

/** The node's own offer to a viewer: one section for each track, with the payload types and extension ids that a worker uses by default. */
export function offerPull(
  tracks: readonly TrackDescription[],
  payloadTypes: ReadonlyMap<number, { payloadType: number; rtxPayloadType?: number }>,
): PullSelection[] {
  return tracks.map((track, index) => {
    const numbers = payloadTypes.get(track.track)!;
    return {
      mid: String(index),
      kind: track.kind,
      track: track.track,
      ...numbers,
      parameters: { ...track.codec.parameters },
      rtcpFeedback: OFFERED_FEEDBACK[track.kind],
      wireMid: String(index),
      extensions: announcedExtensions(track.kind, track.headerExtensions),
    };
  });
}

/**
 * The offered sections that the viewer accepted. An answer may only narrow the offer (RFC 3264 section 6).
 * @throws SdpError
 */
export function readPullAnswer(
  offered: readonly PullSelection[],
  tracks: readonly TrackDescription[],
  answer: RemoteDescription,
): PullSelection[] {
  const taken: PullSelection[] = [];
  for (const selection of offered) {
    const section = answer.sections.find((candidate) => candidate.mid === selection.mid);
    if (!section)
      throw new SdpError(`a=mid:${selection.mid} missing`, 'an answer has one section for each of the offer, with its mid');
    if (section.rejected || section.direction === 'inactive') continue;
    if (section.direction === 'sendonly')
      throw new SdpError(`a=sendonly (mid ${section.mid})`, 'a viewer receives; use a=recvonly');
    const codec = tracks.find((track) => track.track === selection.track)!.codec;
    const accepted = section.codecs.find((candidate) => candidate.payloadType === selection.payloadType);
    if (!accepted || !isSameCodec(accepted, codec)) continue;
    const rtx = section.codecs.find((candidate) => candidate.payloadType === selection.rtxPayloadType);
    const extensions = selection.extensions.filter((ext) =>
      section.extensions.some((theirs) => theirs.uri === ext.uri && theirs.id === ext.id),
    );
    const transportCc = extensions.some((ext) => ext.uri.includes('transport-wide-cc'));
    taken.push({
      ...selection,
      rtxPayloadType: rtx ? selection.rtxPayloadType : undefined,
      rtcpFeedback: commonFeedback(accepted.rtcpFeedback ?? [], transportCc),
      extensions,
    });
  }
  if (taken.length === 0)
    throw new SdpError(
      answer.sections[0]!.line,
      'none of the offered codecs was accepted; the client cannot play this stream',
      406,
    );
  return taken;
}
