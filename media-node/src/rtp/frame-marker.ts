import { FRAME_END, FRAME_START, INDEPENDENT, type FrameMarks, type TrackDescription } from '@millrace/api/trunk';
import { av1PayloadMarks, DEPENDENCY_DESCRIPTOR_URI, DependencyDescriptorReader } from './av1.ts';
import { h264Marks } from './h264.ts';
import type { RtpView } from './rtp-packet.ts';
import { vp8Marks } from './vp8.ts';
import { vp9Marks } from './vp9.ts';

/** Marks one layer's packets. Each layer needs its own, since the dependency descriptor has state. */
export type FrameMarker = (view: RtpView) => FrameMarks;

export interface MarkerOptions {
  codec: { mimeType: string };
  headerExtensions: TrackDescription['headerExtensions'];
}

/** An unknown codec is forwarded like audio: in order, without keyframes. */
export function createFrameMarker(options: MarkerOptions): FrameMarker {
  switch (options.codec.mimeType.toLowerCase()) {
    case 'video/h264':
      return h264Marks;
    case 'video/vp8':
      return vp8Marks;
    case 'video/vp9':
      return vp9Marks;
    case 'video/av1':
      return av1Marker(options.headerExtensions);
    default:
      return () => FRAME_START | FRAME_END | INDEPENDENT;
  }
}

/** Whether the codec has keyframes that a marker of this module finds. */
export function hasKeyframes(mimeType: string): boolean {
  return ['video/h264', 'video/vp8', 'video/vp9', 'video/av1'].includes(mimeType.toLowerCase());
}

/** H.264 and AV1 without the descriptor do not say where a frame starts: the gate's output, in order, tells by the timestamp. */
export function startsFrameByTimestamp(mimeType: string): boolean {
  return ['video/h264', 'video/av1'].includes(mimeType.toLowerCase());
}

function av1Marker(extensions: TrackDescription['headerExtensions']): FrameMarker {
  const id = extensions.find((extension) => extension.uri === DEPENDENCY_DESCRIPTOR_URI)?.id;
  if (id === undefined) return av1PayloadMarks;
  const descriptors = new DependencyDescriptorReader();
  return (view) => {
    const marks = view.findExtension(id) ? descriptors.marks(view.buffer, view.extensionStart, view.extensionEnd) : undefined;
    return marks ?? av1PayloadMarks(view);
  };
}
