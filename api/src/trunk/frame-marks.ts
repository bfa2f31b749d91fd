/**
 * What a packet is within its frame, parsed once at the origin and carried in the header of every trunk frame, so that no
 * later hop has to understand the codec. A number, because it is read for each packet: bits 0-7 are flags (byte 1 of the
 * frame header), bits 8-11 the temporal layer, bits 12-15 the spatial layer (byte 3).
 */
export type FrameMarks = number;

/** First packet of a frame. */
export const FRAME_START = 0x01;
/** Last packet of a frame. */
export const FRAME_END = 0x02;
/** A decoder can begin at this packet: the one that opens a keyframe (H.264: the one with the SPS). */
export const KEYFRAME = 0x04;
/** The frame refers to no other frame. */
export const INDEPENDENT = 0x08;
/** No other frame refers to this one. */
export const DISCARDABLE = 0x10;

/** The flag bits in use; a frame with any other one set is of a later version. */
export const MARK_FLAGS = FRAME_START | FRAME_END | KEYFRAME | INDEPENDENT | DISCARDABLE;

/** Adds the layer ids (each 0..15) to flags. */
export function withLayers(flags: FrameMarks, spatial: number, temporal: number): FrameMarks {
  return (flags & 0xff) | ((temporal & 0x0f) << 8) | ((spatial & 0x0f) << 12);
}

export const spatialOf = (marks: FrameMarks): number => (marks >> 12) & 0x0f;
export const temporalOf = (marks: FrameMarks): number => (marks >> 8) & 0x0f;
