import { DISCARDABLE, FRAME_END, INDEPENDENT, KEYFRAME, type FrameMarks } from '@millrace/api/trunk';
import type { RtpView } from './rtp-packet.ts';

const SPS = 7;
const IDR = 5;
const STAP_A = 24;
const FU_A = 28;

/**
 * RFC 6184. A keyframe begins at the packet with the SPS, as mediasoup has it: a decoder that joins needs it, and an IDR
 * without one is of no use there. Where a frame starts is not in the payload: it follows from the timestamps (FrameMarker).
 */
export function h264Marks(view: RtpView): FrameMarks {
  const { buffer, payloadStart: at, payloadEnd: end } = view;
  const marks = view.marker ? FRAME_END : 0;
  if (end - at < 2) return marks;
  const type = buffer[at]! & 0x1f;
  const unreferenced = (buffer[at]! & 0x60) === 0 ? DISCARDABLE : 0; // nal_ref_idc of a FU indicator or STAP is its NALs' highest
  if (type === STAP_A) return marks | unreferenced | stapMarks(buffer, at + 1, end);
  if (type === FU_A) return marks | unreferenced | nalMarks(buffer[at + 1]! & 0x1f, buffer[at + 1]! >= 0x80);
  return marks | unreferenced | nalMarks(type, true);
}

function nalMarks(type: number, begins: boolean): FrameMarks {
  if (type === SPS) return begins ? KEYFRAME | INDEPENDENT : INDEPENDENT;
  return type === IDR ? INDEPENDENT : 0;
}

function stapMarks(buffer: Buffer, start: number, end: number): FrameMarks {
  let marks = 0;
  for (let at = start; at + 3 <= end;) {
    marks |= nalMarks(buffer[at + 2]! & 0x1f, true);
    at += 2 + buffer.readUInt16BE(at);
  }
  return marks;
}
