import type { types } from 'mediasoup';
import type { HeaderExtension } from './extensions.ts';

/** The node's end of the shared transport. */
export interface LocalTransport {
  iceParameters: types.IceParameters;
  iceCandidates: readonly types.IceCandidate[];
  dtlsParameters: types.DtlsParameters;
  setup: 'active' | 'passive' | 'actpass';
}

interface LocalMedia {
  mid: string;
  kind: 'audio' | 'video';
  direction: 'sendonly' | 'recvonly' | 'inactive';
  codecs: readonly types.RtpCodecParameters[];
  extensions: readonly HeaderExtension[];
  receivedRids?: readonly string[];
  /** The RTP stream that the node sends in this section. */
  sent?: { ssrc: number; rtxSsrc?: number; cname: string; msid: string };
  /** The maximum bit rate that the node asks the sender to keep to. */
  maxKbps?: number;
}

/** A section of the node's description. A rejected section repeats the peer's m= line with port 0. */
export type LocalSection = LocalMedia | { mid: string; rejectedLine: string };

export interface SessionIdentity {
  /** Decimal text of an unsigned 63-bit number (RFC 8829 section 5.2.1). */
  sessionId: string;
  version: number;
}

export function writeAnswer(identity: SessionIdentity, transport: LocalTransport, sections: readonly LocalSection[]): string {
  return writeDescription(identity, transport, sections);
}

export function writeOffer(identity: SessionIdentity, transport: LocalTransport, sections: readonly LocalSection[]): string {
  return writeDescription(identity, { ...transport, setup: 'actpass' }, sections);
}

function writeDescription(identity: SessionIdentity, transport: LocalTransport, sections: readonly LocalSection[]): string {
  const bundle = sections.filter((section) => !('rejectedLine' in section)).map((section) => section.mid);
  const lines = [
    'v=0',
    `o=millrace ${identity.sessionId} ${identity.version} IN IP4 0.0.0.0`,
    's=-',
    't=0 0',
    `a=group:BUNDLE ${bundle.join(' ')}`,
    'a=extmap-allow-mixed',
    'a=msid-semantic: WMS *',
    'a=ice-lite',
  ];
  for (const section of sections) {
    if ('rejectedLine' in section) lines.push(...writeRejected(section));
    else lines.push(...writeMedia(section, transport, section.mid === bundle[0]));
  }
  const broken = lines.find((line) => /[\r\n\0]/.test(line));
  if (broken !== undefined) throw new Error(`an SDP line would contain a line break: ${JSON.stringify(broken.slice(0, 100))}`);
  return `${lines.join('\r\n')}\r\n`;
}

function writeRejected({ mid, rejectedLine }: { mid: string; rejectedLine: string }): string[] {
  const [media = 'm=audio', , protocol = 'UDP/TLS/RTP/SAVPF', ...formats] = rejectedLine.split(' ');
  return [
    `${media} 0 ${protocol} ${formats.length > 0 ? formats.join(' ') : '0'}`,
    'c=IN IP4 0.0.0.0',
    'a=inactive',
    `a=mid:${mid}`,
  ];
}

function writeMedia(section: LocalMedia, transport: LocalTransport, carriesCandidates: boolean): string[] {
  const payloads = section.codecs.map((codec) => codec.payloadType).join(' ');
  const lines = [`m=${section.kind} 9 UDP/TLS/RTP/SAVPF ${payloads}`, 'c=IN IP4 0.0.0.0'];
  // Browsers read TIAS or AS; native clients mostly AS.
  if (section.maxKbps !== undefined) lines.push(`b=AS:${section.maxKbps}`, `b=TIAS:${section.maxKbps * 1000}`);
  lines.push(`a=mid:${section.mid}`, `a=${section.direction}`, ...writeTransport(transport));
  if (carriesCandidates) lines.push(...writeCandidates(transport.iceCandidates));
  lines.push('a=rtcp-mux', 'a=rtcp-rsize');
  for (const ext of section.extensions) lines.push(`a=extmap:${ext.id} ${ext.uri}`);
  for (const codec of section.codecs) lines.push(...writeCodec(codec));
  if (section.receivedRids) {
    for (const rid of section.receivedRids) lines.push(`a=rid:${rid} recv`);
    lines.push(`a=simulcast:recv ${section.receivedRids.join(';')}`);
  }
  if (section.sent) lines.push(...writeSent(section.sent));
  return lines;
}

function writeTransport({ iceParameters, dtlsParameters, setup }: LocalTransport): string[] {
  const fingerprint =
    dtlsParameters.fingerprints.find((entry) => entry.algorithm === 'sha-256') ?? dtlsParameters.fingerprints[0]!;
  return [
    `a=ice-ufrag:${iceParameters.usernameFragment}`,
    `a=ice-pwd:${iceParameters.password}`,
    `a=fingerprint:${fingerprint.algorithm} ${fingerprint.value}`,
    `a=setup:${setup}`,
  ];
}

/** The a=candidate lines (RFC 8839 section 5.1) and a=end-of-candidates: an ICE-lite agent knows all its candidates from the start. */
export function writeCandidates(candidates: readonly types.IceCandidate[]): string[] {
  const lines = candidates.map((candidate) => {
    const tcp = candidate.tcpType ? ` tcptype ${candidate.tcpType}` : '';
    return `a=candidate:${candidate.foundation} 1 ${candidate.protocol} ${candidate.priority} ${candidate.address} ${candidate.port} typ ${candidate.type}${tcp}`;
  });
  return [...lines, 'a=end-of-candidates'];
}

function writeCodec(codec: types.RtpCodecParameters): string[] {
  const name = codec.mimeType.split('/')[1];
  const channels = codec.channels !== undefined && codec.channels > 1 ? `/${codec.channels}` : '';
  const lines = [`a=rtpmap:${codec.payloadType} ${name}/${codec.clockRate}${channels}`];
  const parameters = Object.entries(codec.parameters ?? {}).map(([key, value]) =>
    value === '' ? key : `${key}=${String(value)}`,
  );
  if (parameters.length > 0) lines.push(`a=fmtp:${codec.payloadType} ${parameters.join(';')}`);
  for (const fb of codec.rtcpFeedback ?? [])
    lines.push(`a=rtcp-fb:${codec.payloadType} ${fb.type}${fb.parameter ? ` ${fb.parameter}` : ''}`);
  return lines;
}

function writeSent({ ssrc, rtxSsrc, cname, msid }: NonNullable<LocalMedia['sent']>): string[] {
  const lines = [`a=msid:${msid}`];
  if (rtxSsrc !== undefined) lines.push(`a=ssrc-group:FID ${ssrc} ${rtxSsrc}`);
  lines.push(`a=ssrc:${ssrc} cname:${cname}`);
  if (rtxSsrc !== undefined) lines.push(`a=ssrc:${rtxSsrc} cname:${cname}`);
  return lines;
}
