import { MARK_FLAGS, type FrameMarks } from './frame-marks.ts';

/*
 * One frame on a trunk: 16 bytes, then the packet as it left the origin. All numbers big-endian. The stream is that of the
 * conversation the frame arrives in.
 *
 *    0        1        2        3        4                       10                      16
 *   +--------+--------+--------+--------+-----------------------+-----------------------+----------
 *   |ver |kind| flags |trk |lay | sp |tmp | epoch, 48 bits        | sequence, 48 bits     | payload
 *   +--------+--------+--------+--------+-----------------------+-----------------------+----------
 */

export const MEDIA_FRAME_VERSION = 1;
export const MEDIA_HEADER_BYTES = 16;

/** The payload is an RTP packet. */
export const FRAME_KIND_RTP = 0;
/** The payload is the origin's latest sender report: NTP time (8 bytes), RTP timestamp (4). Not numbered, may be lost. */
export const FRAME_KIND_SENDER_REPORT = 1;
export const SENDER_REPORT_BYTES = 12;

/** Tracks of a stream. */
export const MAX_TRACKS = 16;
/** Simulcast layers of a track. */
export const MAX_LAYERS = 8;
/** Characters of a node's name: two of them fit the trunk's handshake. */
export const MAX_NODE_NAME = 120;
/** An RTP packet without any payload. */
const MIN_RTP_BYTES = 12;
/** The largest that a trunk carries, in fragments where the path takes less. */
export const MAX_MEDIA_FRAME_BYTES = 2048;

export interface MediaHeader {
  kind: number;
  marks: FrameMarks;
  track: number;
  layer: number;
  epoch: number;
  seq: number;
}

/** Writes the header at the start of `frame`; the payload goes behind it. */
export function writeMediaHeader(frame: Uint8Array, header: MediaHeader): void {
  frame[0] = (MEDIA_FRAME_VERSION << 4) | header.kind;
  frame[1] = header.marks & 0xff;
  frame[2] = (header.track << 4) | header.layer;
  frame[3] = (header.marks >> 8) & 0xff;
  writeUint48(frame, 4, header.epoch);
  writeUint48(frame, 10, header.seq);
}

/** Why these bytes are no media frame of this version; undefined when they are one. */
export function mediaFrameFault(frame: Uint8Array): string | undefined {
  if (frame.length < MEDIA_HEADER_BYTES) return `frame of ${frame.length} bytes: the header alone has ${MEDIA_HEADER_BYTES}`;
  if (frame.length > MAX_MEDIA_FRAME_BYTES) return `frame of ${frame.length} bytes: at most ${MAX_MEDIA_FRAME_BYTES}`;
  const version = frame[0]! >> 4;
  if (version !== MEDIA_FRAME_VERSION) return `frame version ${version}: this node speaks ${MEDIA_FRAME_VERSION}`;
  const kind = frameKind(frame);
  if (kind > FRAME_KIND_SENDER_REPORT) return `frame kind ${kind} is unknown`;
  if ((frame[1]! & ~MARK_FLAGS) !== 0) return `frame flags 0x${frame[1]!.toString(16)} are unknown`;
  if ((frame[2]! & 0x0f) >= MAX_LAYERS) return `layer ${frame[2]! & 0x0f}: at most ${MAX_LAYERS - 1}`;
  const payload = frame.length - MEDIA_HEADER_BYTES;
  if (kind === FRAME_KIND_SENDER_REPORT) {
    return payload === SENDER_REPORT_BYTES ? undefined : `sender report of ${payload} bytes: it has ${SENDER_REPORT_BYTES}`;
  }
  if (payload < MIN_RTP_BYTES || frame[MEDIA_HEADER_BYTES]! >> 6 !== 2) return 'the payload is no RTP packet';
  return undefined;
}

/** All fields at once, for what is not done for each packet. Check with mediaFrameFault first. */
export function readMediaHeader(frame: Uint8Array): MediaHeader {
  return {
    kind: frameKind(frame),
    marks: frameMarks(frame),
    track: frameTrack(frame),
    layer: frameLayer(frame),
    epoch: frameEpoch(frame),
    seq: frameSeq(frame),
  };
}

export const frameKind = (frame: Uint8Array): number => frame[0]! & 0x0f;
export const frameMarks = (frame: Uint8Array): FrameMarks => frame[1]! | (frame[3]! << 8);
export const frameTrack = (frame: Uint8Array): number => frame[2]! >> 4;
export const frameLayer = (frame: Uint8Array): number => frame[2]! & 0x07;
export const frameEpoch = (frame: Uint8Array): number => readUint48(frame, 4);
export const frameSeq = (frame: Uint8Array): number => readUint48(frame, 10);

// Shifts work on 32 bits, so the upper half is a product.
function readUint48(bytes: Uint8Array, at: number): number {
  const high = (bytes[at]! << 8) | bytes[at + 1]!;
  const low = ((bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!) >>> 0;
  return high * 0x1_0000_0000 + low;
}

function writeUint48(bytes: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  const low = value >>> 0;
  bytes[at] = high >>> 8;
  bytes[at + 1] = high;
  bytes[at + 2] = low >>> 24;
  bytes[at + 3] = low >>> 16;
  bytes[at + 4] = low >>> 8;
  bytes[at + 5] = low;
}
