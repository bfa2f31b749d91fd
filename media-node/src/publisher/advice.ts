import type { PublisherHealth, Finding } from './health.ts';

/** A track as the client announced it. */
export interface AnnouncedTrack {
  track: number;
  kind: 'audio' | 'video';
  mimeType: string;
  payloadType: number;
  /** Empty where tracks are told apart by MID or RID, or where the SSRC is to be learned. */
  ssrcs: readonly number[];
}

/** What is wrong with a publisher and what to do about it, in one or two sentences; undefined when nothing is. */
export function adviceFor(health: PublisherHealth, announced: readonly AnnouncedTrack[]): string | undefined {
  const affected = announced.filter(({ track }) =>
    health.tracks.some((known) => known.track === track && known.state === health.state),
  );
  switch (health.state) {
    case 'Connecting':
    case 'Receiving':
      return undefined;
    case 'Silent':
      return 'No media arrives. Start or unmute the encoder, and check that a firewall lets its UDP packets through.';
    case 'WaitingForKeyframe':
      return `${namesOf(affected)} arrives without a keyframe that a viewer could start from. ${keyframeRemedy(affected)}`;
    case 'NoKnownSsrc':
    case 'UnknownPayloadType':
    case 'Unreadable':
      return health.finding ? explain(health.finding, announced, affected) : undefined;
  }
}

/** @param maxKbps what the stream may have */
export function throttledAdvice(maxKbps: number): string {
  return `The publisher sends more than the ${maxKbps} kbit/s that its StreamRoute allows (quality.maxPublishKbps): layers and frames are withheld, and the session ends if that goes on. Lower the encoder's bit rate.`;
}

function explain(finding: Finding, announced: readonly AnnouncedTrack[], affected: readonly AnnouncedTrack[]): string {
  switch (finding.kind) {
    case 'ssrc': {
      const ssrcs = affected.flatMap((track) => track.ssrcs);
      const expected = ssrcs.length > 0 ? `announced: ${ssrcs.join(', ')}` : 'none was announced';
      const type = finding.payloadType === undefined ? '' : ` (payload type ${finding.payloadType})`;
      return `Packets arrive with SSRC ${finding.ssrc}${type}, which belongs to no track; ${expected}. Announce the SSRC that the encoder sends (a=ssrc in SDP, tracks[].ssrc for plain RTP), or send the sdes:mid header extension.`;
    }
    case 'payload-type': {
      const seen = finding.payloadType === undefined ? 'a payload type' : `payload type ${finding.payloadType}`;
      const expected = announced.map(({ payloadType, mimeType }) => `${payloadType} (${mimeType})`).join(', ');
      return `Packets arrive with ${seen}, which belongs to no track; agreed on: ${expected}. Let the encoder send the payload types of the answer.`;
    }
    case 'srtp':
      return 'Packets arrive that cannot be decrypted. Give the encoder the SRTP key and crypto suite that the session was opened with.';
    case 'no-rtp':
      return 'Packets arrive that are not RTP of this session. Send from the address and port that the session was opened with, RTP version 2, RTP and RTCP to one port.';
  }
}

function keyframeRemedy(affected: readonly AnnouncedTrack[]): string {
  const h264 = affected.some(({ mimeType }) => mimeType.toLowerCase() === 'video/h264');
  const repeat = 'Let the encoder answer picture loss indications (RFC 4585 section 6.3.1), or send a keyframe every few seconds';
  return h264 ? `${repeat}, with SPS and PPS in band.` : `${repeat}.`;
}

function namesOf(affected: readonly AnnouncedTrack[]): string {
  const names = affected.map(({ track, mimeType }) => `track ${track} (${mimeType})`);
  return names.length > 0 ? capitalised(names.join(', ')) : 'Video';
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
