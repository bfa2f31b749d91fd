import { DISCARDABLE, FRAME_END, FRAME_START, INDEPENDENT, KEYFRAME, withLayers, type FrameMarks } from '@millrace/api/trunk';
import type { RtpView } from './rtp-packet.ts';

/** RFC 7741 section 4.2, the payload descriptor; undefined when it is cut. */
interface Vp8Descriptor {
  startOfPartition: boolean;
  partition: number;
  nonReference: boolean;
  pictureId?: number;
  tl0PicIdx?: number;
  temporal?: number;
  layerSync?: boolean;
  keyIdx?: number;
  /** Where the VP8 payload begins. */
  payload: number;
}

function readVp8Descriptor(buffer: Buffer, start: number, end: number): Vp8Descriptor | undefined {
  if (start >= end) return undefined;
  const first = buffer[start]!;
  const descriptor: Vp8Descriptor = {
    startOfPartition: (first & 0x10) !== 0,
    partition: first & 0x07,
    nonReference: (first & 0x20) !== 0,
    payload: start + 1,
  };
  if ((first & 0x80) !== 0 && !readExtension(buffer, end, descriptor)) return undefined;
  return descriptor.payload <= end ? descriptor : undefined;
}

function readExtension(buffer: Buffer, end: number, descriptor: Vp8Descriptor): boolean {
  if (descriptor.payload >= end) return false;
  const flags = buffer[descriptor.payload++]!;
  let at = descriptor.payload;
  if ((flags & 0x80) !== 0) {
    if (at >= end) return false;
    const wide = (buffer[at]! & 0x80) !== 0;
    if (wide && at + 1 >= end) return false;
    descriptor.pictureId = wide ? ((buffer[at]! & 0x7f) << 8) | buffer[at + 1]! : buffer[at]! & 0x7f;
    at += wide ? 2 : 1;
  }
  if ((flags & 0x40) !== 0) {
    if (at >= end) return false;
    descriptor.tl0PicIdx = buffer[at++]!;
  }
  if ((flags & 0x30) !== 0) {
    if (at >= end) return false;
    const octet = buffer[at++]!;
    if ((flags & 0x20) !== 0) {
      descriptor.temporal = octet >> 6;
      descriptor.layerSync = (octet & 0x20) !== 0;
    }
    if ((flags & 0x10) !== 0) descriptor.keyIdx = octet & 0x1f;
  }
  descriptor.payload = at;
  return true;
}

/** Where the VP8 payload of a packet begins that starts a frame. */
export function vp8PayloadStart(buffer: Buffer, start: number, end: number): number | undefined {
  const descriptor = readVp8Descriptor(buffer, start, end);
  return descriptor?.startOfPartition && descriptor.partition === 0 ? descriptor.payload : undefined;
}

export function vp8Marks(view: RtpView): FrameMarks {
  let marks = view.marker ? FRAME_END : 0;
  const descriptor = readVp8Descriptor(view.buffer, view.payloadStart, view.payloadEnd);
  if (!descriptor) return marks;
  if (descriptor.nonReference) marks |= DISCARDABLE;
  const starts = descriptor.startOfPartition && descriptor.partition === 0;
  if (starts) {
    marks |= FRAME_START;
    // Section 4.3: the inverse key frame flag is the lowest bit of the first payload byte.
    const key = descriptor.payload < view.payloadEnd && (view.buffer[descriptor.payload]! & 0x01) === 0;
    if (key) marks |= KEYFRAME | INDEPENDENT;
  }
  return withLayers(marks, 0, descriptor.temporal ?? 0);
}
