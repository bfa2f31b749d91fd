/** KCP's segment header (skywind3000/kcp, ikcp_encode_seg): conv u32, cmd u8, frg u8, wnd u16, ts u32, sn u32, una u32, len u32, little-endian. */
export const SEGMENT_HEADER_BYTES = 24;

/** Reliable and in order; all others hand over at once. */
export const CONTROL_CONVERSATION = 0;

export const SegmentCommand = { push: 81, ack: 82, windowAsk: 83, windowTell: 84 } as const;

/** Most fragments of one media payload. The largest payload in the smallest datagrams takes five. */
export const MAX_MEDIA_FRAGMENTS = 8;

/**
 * `frg` of a media segment: in the high four bits the fragments before it, in the low four those after it; 0 for a whole payload, as in KCP.
 * KCP counts only those after, which is enough in order; here a receiver must know from any one of them where the payload begins.
 */
export function mediaFragment(before: number, after: number): number {
  return (before << 4) | after;
}

export function fragmentsBefore(fragment: number): number {
  return fragment >> 4;
}

export function fragmentsAfter(fragment: number): number {
  return fragment & 0x0f;
}

export function writeSegmentHeader(
  out: Buffer,
  offset: number,
  conversation: number,
  command: number,
  fragment: number,
  window: number,
  timestamp: number,
  serial: number,
  una: number,
  length: number,
): number {
  offset = out.writeUInt32LE(conversation, offset);
  out[offset++] = command;
  out[offset++] = fragment;
  offset = out.writeUInt16LE(window, offset);
  offset = out.writeUInt32LE(timestamp, offset);
  offset = out.writeUInt32LE(serial, offset);
  offset = out.writeUInt32LE(una, offset);
  return out.writeUInt32LE(length, offset);
}

/** Unit of `ts`, ms. A peer only echoes it, so its unit is the sender's affair: fine enough for each datagram to have its own. */
const STAMP_MS = 0.01;

/** The value of `ts` for this time. */
export function segmentTime(nowMs: number): number {
  return Math.floor(nowMs / STAMP_MS) >>> 0;
}

/** Milliseconds since a time that was written into a `ts`; below zero when the stamp ran ahead of the clock. */
export function sinceSegmentTime(stamp: number, nowMs: number): number {
  return serialDistance(stamp, segmentTime(nowMs)) * STAMP_MS;
}

/** Signed distance between 32-bit serials, right across the wrap. */
export function serialDistance(from: number, to: number): number {
  return (to - from) | 0;
}
