import { parse, type MediaDescription, type SessionDescription } from 'sdp-transform';
import { MAX_SDP_BYTES } from '@millrace/api';
import { MAX_LAYERS } from '@millrace/api/trunk';
import type { types } from 'mediasoup';
import { checkBundleNumbers } from './bundle-numbers.ts';
import { parseFmtp } from './fmtp.ts';
import { SdpError } from './sdp-error.ts';

/** A codec as the peer described it: payload type, clock rate in Hz, fmtp parameters and RTCP feedback. */
export type RemoteCodec = types.RtpCodecParameters;

const MAX_SECTIONS = 16;
const MAX_CODECS = 128;
/** Further fmtp lines and feedback entries of a payload type are ignored. */
const MAX_FMTP_LINES = 8;
const MAX_FEEDBACK = 32;
const MAX_SSRCS = 32;

type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

export interface RemoteRid {
  id: string;
  /** Restrictions of RFC 8851 section 4, e.g. max-width. */
  restrictions: Record<string, number>;
}

export interface RemoteSection {
  index: number;
  mid: string;
  kind: 'audio' | 'video' | 'application';
  /** The m= line as received, for error messages. */
  line: string;
  protocol: string;
  rejected: boolean;
  direction: Direction;
  /** In the peer's order of preference (the order of the m= line), including RTX and RED. */
  codecs: RemoteCodec[];
  /** `direction` is set when the peer restricts the extension to one direction (RFC 8285 section 5). */
  extensions: { uri: string; id: number; direction?: Direction }[];
  /** Layers that the peer wants to send, in the order of a=simulcast; empty without simulcast. */
  sendRids: RemoteRid[];
  ssrcs: number[];
  ssrcGroups: { semantics: string; ssrcs: number[] }[];
  cname?: string;
  msid?: string;
  rtcpMux: boolean;
}

export interface RemoteDescription {
  ice: { usernameFragment: string; password: string };
  dtls: types.DtlsParameters;
  /** The a=setup value as received. */
  setup: 'active' | 'passive' | 'actpass';
  sections: RemoteSection[];
  /** The mids of the only BUNDLE group, in its order. */
  bundle: string[];
  extmapAllowMixed: boolean;
}

/**
 * Parses an offer or an answer and checks what every session needs: one BUNDLE group, rtcp-mux, ICE credentials, a DTLS fingerprint.
 * @throws SdpError that names the line and the remedy; no input causes any other error
 */
export function parseDescription(text: string, role: 'offer' | 'answer'): RemoteDescription {
  if (Buffer.byteLength(text) > MAX_SDP_BYTES)
    throw new SdpError(`the ${role}`, `is longer than ${MAX_SDP_BYTES} bytes; send fewer codecs or candidates`);
  if (!/^v=0\r?\n/.test(text))
    throw new SdpError(firstLine(text), `a session description begins with "v=0" (RFC 8866 section 5.1)`);
  const session = parseText(text);
  const media = session.media;
  if (media.length === 0) throw new SdpError('m= line missing', `the ${role} must have at least one audio or video section`);
  if (media.length > MAX_SECTIONS) throw new SdpError(`${media.length} m= lines`, `at most ${MAX_SECTIONS} are allowed`);

  const sections = media.map((section, index) => readSection(session, section, index, role));
  const mids = new Set<string>();
  for (const { mid } of sections) {
    if (mids.has(mid)) throw new SdpError(`a=mid:${mid}`, 'occurs twice; each m= section needs its own mid');
    mids.add(mid);
  }
  checkBundleNumbers(sections);
  const bundle = readBundle(session, sections);
  const first = sections.find((section) => section.mid === bundle[0])!;
  const shared = media[first.index]!;
  return {
    ice: readIce(session, shared),
    ...readDtls(session, shared, role),
    sections,
    bundle,
    extmapAllowMixed: session.extmapAllowMixed !== undefined || shared.extmapAllowMixed !== undefined,
  };
}

function parseText(text: string): SessionDescription {
  try {
    return parse(text);
  } catch (error) {
    throw new SdpError(
      firstLine(text),
      `cannot be read as a session description (${error instanceof Error ? error.message : 'unknown'})`,
    );
  }
}

function firstLine(text: string): string {
  return text.split(/\r?\n/, 1)[0]?.trim() || 'the first line';
}

function readSection(session: SessionDescription, media: MediaDescription, index: number, role: string): RemoteSection {
  const line = `m=${media.type} ${media.port} ${media.protocol} ${media.payloads ?? ''}`.trimEnd();
  if (media.type !== 'audio' && media.type !== 'video' && media.type !== 'application') {
    throw new SdpError(line, 'only audio, video and application sections are understood; remove it');
  }
  const mid = media.mid === undefined ? undefined : String(media.mid);
  if (mid === undefined || mid === '')
    throw new SdpError(`a=mid missing in ${line}`, 'add one; it is needed for BUNDLE (RFC 9143)');
  if (mid.length > 32) throw new SdpError(`a=mid:${mid}`, 'use at most 32 characters');
  // Port 0 rejects a section unless it is bundle-only (RFC 9143 section 6).
  const rejected = media.port === 0 && media.bundleOnly === undefined;
  const isRtp = media.type !== 'application';
  if (isRtp && !rejected && !/^(UDP|TCP)\/TLS\/RTP\/SAVPF$/.test(media.protocol)) {
    throw new SdpError(line, 'the transport must be UDP/TLS/RTP/SAVPF (DTLS-SRTP, RFC 8827)');
  }
  if (isRtp && !rejected && media.rtcpMux === undefined) {
    throw new SdpError(`a=rtcp-mux missing in ${line}`, `the ${role} must multiplex RTCP with RTP (RFC 8858)`);
  }
  const msid = media.msid?.[0];
  return {
    index,
    mid,
    kind: media.type,
    line,
    protocol: media.protocol,
    rejected,
    direction: media.direction ?? session.direction ?? 'sendrecv',
    codecs: isRtp ? readCodecs(media, line) : [],
    extensions: isRtp ? readExtensions(session, media) : [],
    sendRids: isRtp ? readSendRids(media) : [],
    ...readSsrcs(media, line),
    ...(msid ? { msid: msid.appdata ? `${msid.id} ${msid.appdata}` : msid.id } : {}),
    rtcpMux: media.rtcpMux !== undefined,
  };
}

function readCodecs(media: MediaDescription, line: string): RemoteCodec[] {
  const order = String(media.payloads ?? '')
    .split(' ')
    .filter((text) => text !== '');
  if (order.length > MAX_CODECS) throw new SdpError(line, `at most ${MAX_CODECS} payload types are allowed`);
  if (new Set(order).size < order.length) throw new SdpError(line, 'a payload type occurs twice; list each once');
  const rtpmaps = Map.groupBy(media.rtp, (entry) => entry.payload);
  const fmtps = Map.groupBy(media.fmtp, (entry) => entry.payload);
  const feedback = Map.groupBy(media.rtcpFb ?? [], (entry) => String(entry.payload));
  const codecs: RemoteCodec[] = [];
  for (const text of order) {
    const payloadType = Number(text);
    if (!Number.isInteger(payloadType) || payloadType < 0 || payloadType > 127) {
      throw new SdpError(line, `"${text}" is no payload type; they are numbers from 0 to 127`);
    }
    const [rtp, second] = rtpmaps.get(payloadType) ?? [];
    if (!rtp) continue;
    if (second) throw new SdpError(`a=rtpmap:${payloadType} ${second.codec}`, `${payloadType} is ${rtp.codec} too; map it once`);
    const mimeType = `${media.type}/${rtp.codec}`;
    if (!Number.isInteger(rtp.rate) || rtp.rate! <= 0) {
      throw new SdpError(`a=rtpmap:${payloadType} ${rtp.codec}`, 'the clock rate is missing, e.g. "VP8/90000"');
    }
    codecs.push({
      mimeType,
      payloadType,
      clockRate: rtp.rate!,
      ...(media.type === 'audio' ? { channels: Number(rtp.encoding ?? 1) || 1 } : {}),
      parameters: parseFmtp(
        (fmtps.get(payloadType) ?? [])
          .slice(0, MAX_FMTP_LINES)
          .map(({ config }) => String(config))
          .join(';'),
      ),
      rtcpFeedback: ['*', String(payloadType)]
        .flatMap((key) => (feedback.get(key) ?? []).slice(0, MAX_FEEDBACK))
        .slice(0, MAX_FEEDBACK)
        .map((fb) => ({ type: String(fb.type), ...(fb.subtype ? { parameter: String(fb.subtype) } : {}) })),
    });
  }
  return codecs;
}

function readExtensions(
  session: SessionDescription,
  media: MediaDescription,
): { uri: string; id: number; direction?: Direction }[] {
  const byUri = new Map<string, { uri: string; id: number; direction?: Direction }>();
  for (const { uri, value, direction } of [...(media.ext ?? []), ...(session.ext ?? [])]) {
    const id = Number(value);
    if (!(id >= 1 && id <= 255) || byUri.has(String(uri))) continue;
    byUri.set(String(uri), { uri: String(uri), id, ...(direction ? { direction: direction as Direction } : {}) });
  }
  return [...byUri.values()];
}

function readSendRids(media: MediaDescription): RemoteRid[] {
  const simulcast = media.simulcast;
  const list = simulcast?.dir1 === 'send' ? simulcast.list1 : simulcast?.dir2 === 'send' ? simulcast.list2 : undefined;
  if (list === undefined) return [];
  const rids: RemoteRid[] = [];
  // "1,2;~3": layers are separated by ";", alternatives of one layer by ",", and "~" marks one that starts paused (RFC 8853 section 5.1).
  const layers = String(list).split(';');
  if (layers.length > MAX_LAYERS) throw new SdpError(`a=simulcast:send ${list}`, `at most ${MAX_LAYERS} layers are allowed`);
  for (const alternatives of layers) {
    const id = (alternatives.split(',')[0] ?? '').trim().replace(/^~/, '');
    const declared = media.rids?.find((rid) => String(rid.id) === id && rid.direction === 'send');
    if (!declared) throw new SdpError(`a=simulcast:send ${list}`, `layer "${id}" has no "a=rid:${id} send" line`);
    if (!/^[A-Za-z0-9_-]{1,16}$/.test(id)) throw new SdpError(`a=rid:${id}`, 'use 1 to 16 letters, digits, "-" or "_"');
    if (rids.some((rid) => rid.id === id)) throw new SdpError(`a=simulcast:send ${list}`, `layer "${id}" occurs twice`);
    rids.push({ id, restrictions: readRestrictions(declared.params) });
  }
  return rids;
}

function readRestrictions(params: string | undefined): Record<string, number> {
  const restrictions: Record<string, number> = {};
  for (const part of (params ?? '').split(';')) {
    const [name = '', value = ''] = part.split('=');
    if (/^max-[a-z]+$/.test(name.trim()) && Number.isFinite(Number(value)) && value !== '')
      restrictions[name.trim()] = Number(value);
  }
  return restrictions;
}

function readSsrcs(media: MediaDescription, line: string): Pick<RemoteSection, 'ssrcs' | 'ssrcGroups' | 'cname'> {
  const isSsrc = (value: number): boolean => Number.isInteger(value) && value > 0 && value <= 0xffffffff;
  const ssrcs = [...new Set((media.ssrcs ?? []).map((entry) => Number(entry.id)))].filter(isSsrc);
  if (ssrcs.length > MAX_SSRCS || (media.ssrcGroups?.length ?? 0) > MAX_SSRCS)
    throw new SdpError(line, `has too many SSRCs or groups of them: at most ${MAX_SSRCS} of each are allowed`);
  const cname = media.ssrcs?.find((entry) => entry.attribute === 'cname')?.value;
  const ssrcGroups = (media.ssrcGroups ?? []).map((group) => ({
    semantics: String(group.semantics),
    ssrcs: String(group.ssrcs).split(' ').map(Number).filter(isSsrc),
  }));
  return { ssrcs, ssrcGroups, ...(cname ? { cname: String(cname) } : {}) };
}

function readBundle(session: SessionDescription, sections: RemoteSection[]): string[] {
  const active = sections.filter((section) => !section.rejected);
  if (active.length === 0) throw new SdpError(sections[0]!.line, 'every section is rejected (port 0); offer at least one');
  const [first, second] = (session.groups ?? []).filter((group) => group.type === 'BUNDLE');
  if (second)
    throw new SdpError(
      `a=group:BUNDLE ${second.mids}`,
      'is a second group; all sections must be in one, use the bundle policy max-bundle',
    );
  if (!first) {
    if (active.length === 1) return [active[0]!.mid];
    throw new SdpError(
      'a=group:BUNDLE missing',
      'all sections must share one transport; use the bundle policy max-bundle (RFC 9143)',
    );
  }
  const named = String(first.mids)
    .split(' ')
    .filter((mid) => mid !== '');
  const unknown = named.find((mid) => !sections.some((section) => section.mid === mid));
  if (unknown !== undefined) throw new SdpError(`a=group:BUNDLE ${first.mids}`, `no section has a=mid:${unknown}`);
  const bundle = [...new Set(named)].filter((mid) => sections.some((section) => section.mid === mid && !section.rejected));
  const outside = active.find((section) => !bundle.includes(section.mid));
  if (outside)
    throw new SdpError(`a=group:BUNDLE ${first.mids}`, `section "${outside.mid}" is not in it; use the bundle policy max-bundle`);
  return bundle;
}

function readIce(session: SessionDescription, media: MediaDescription): RemoteDescription['ice'] {
  const usernameFragment = String(media.iceUfrag ?? session.iceUfrag ?? '');
  const password = String(media.icePwd ?? session.icePwd ?? '');
  if (!/^[A-Za-z0-9+/=_-]{4,256}$/.test(usernameFragment))
    throw new SdpError('a=ice-ufrag', 'missing or not 4 to 256 ice-chars (RFC 8839 section 5.4)');
  if (!/^[A-Za-z0-9+/=_-]{22,256}$/.test(password))
    throw new SdpError('a=ice-pwd', 'missing or not 22 to 256 ice-chars (RFC 8839 section 5.4)');
  return { usernameFragment, password };
}

const FINGERPRINT_BYTES: Record<string, number> = { 'sha-1': 20, 'sha-224': 28, 'sha-256': 32, 'sha-384': 48, 'sha-512': 64 };

function readDtls(session: SessionDescription, media: MediaDescription, role: string): Pick<RemoteDescription, 'dtls' | 'setup'> {
  const fingerprint = media.fingerprint ?? session.fingerprint;
  const line = fingerprint ? `a=fingerprint:${fingerprint.type} ${fingerprint.hash}` : 'a=fingerprint missing';
  const algorithm = String(fingerprint?.type ?? '').toLowerCase();
  const bytes = FINGERPRINT_BYTES[algorithm];
  const value = String(fingerprint?.hash ?? '');
  if (bytes === undefined || !new RegExp(`^([0-9A-Fa-f]{2}:){${bytes - 1}}[0-9A-Fa-f]{2}$`).test(value)) {
    throw new SdpError(line, 'give the DTLS certificate\'s fingerprint, e.g. "sha-256" and 32 bytes as hex pairs (RFC 8122)');
  }
  const setup = String(media.setup ?? session.setup ?? (role === 'offer' ? 'actpass' : 'active'));
  if (setup !== 'active' && setup !== 'passive' && setup !== 'actpass')
    throw new SdpError(`a=setup:${setup}`, 'use actpass, active or passive');
  if (role === 'answer' && setup === 'actpass')
    throw new SdpError('a=setup:actpass', 'an answer must choose active or passive (RFC 5763 section 5)');
  return {
    // The peer's DTLS role. The node answers actpass with passive, which makes the peer the client.
    dtls: {
      role: setup === 'passive' ? 'server' : 'client',
      fingerprints: [{ algorithm: algorithm as types.FingerprintAlgorithm, value: value.toUpperCase() }],
    },
    setup,
  };
}
