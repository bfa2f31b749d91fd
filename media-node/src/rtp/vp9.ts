import { FRAME_END, FRAME_START, INDEPENDENT, KEYFRAME, withLayers, type FrameMarks } from '@millrace/api/trunk';
import type { RtpView } from './rtp-packet.ts';

/** RFC 9628 section 4.2, the parts of the payload descriptor that forwarding needs; undefined when it is cut. */
interface Vp9Descriptor {
  pictureId?: number;
  /** P: the frame refers to other pictures. */
  interPicture: boolean;
  startOfFrame: boolean;
  endOfFrame: boolean;
  spatial: number;
  temporal: number;
  /** D: this spatial layer depends on the one below of the same picture. */
  interLayer: boolean;
  tl0PicIdx?: number;
  /** V: a scalability structure follows. */
  scalabilityStructure: boolean;
}

function readVp9Descriptor(buffer: Buffer, start: number, end: number): Vp9Descriptor | undefined {
  if (start >= end) return undefined;
  const first = buffer[start]!;
  const flexible = (first & 0x10) !== 0;
  const descriptor: Vp9Descriptor = {
    interPicture: (first & 0x40) !== 0,
    startOfFrame: (first & 0x08) !== 0,
    endOfFrame: (first & 0x04) !== 0,
    scalabilityStructure: (first & 0x02) !== 0,
    spatial: 0,
    temporal: 0,
    interLayer: false,
  };
  let at = start + 1;
  if ((first & 0x80) !== 0) {
    if (at >= end) return undefined;
    const wide = (buffer[at]! & 0x80) !== 0;
    if (wide && at + 1 >= end) return undefined;
    descriptor.pictureId = wide ? ((buffer[at]! & 0x7f) << 8) | buffer[at + 1]! : buffer[at]!;
    at += wide ? 2 : 1;
  }
  if ((first & 0x20) === 0) return descriptor;
  if (at >= end) return undefined;
  const layers = buffer[at++]!;
  descriptor.temporal = layers >> 5;
  descriptor.spatial = (layers >> 1) & 0x07;
  descriptor.interLayer = (layers & 0x01) !== 0;
  if (flexible) return descriptor;
  if (at >= end) return undefined;
  descriptor.tl0PicIdx = buffer[at]!;
  return descriptor;
}

export function vp9Marks(view: RtpView): FrameMarks {
  const descriptor = readVp9Descriptor(view.buffer, view.payloadStart, view.payloadEnd);
  if (!descriptor) return view.marker ? FRAME_END : 0;
  let marks = (descriptor.startOfFrame ? FRAME_START : 0) | (descriptor.endOfFrame ? FRAME_END : 0);
  const independent = !descriptor.interPicture && !descriptor.interLayer;
  if (independent) marks |= INDEPENDENT;
  if (!descriptor.interPicture && descriptor.startOfFrame && descriptor.spatial === 0) marks |= KEYFRAME;
  return withLayers(marks, descriptor.spatial, descriptor.temporal);
}
