/** NAL unit types (ITU-T H.264 table 7-1, RFC 6184 section 5.2). */
export const NAL_SLICE = 1;
export const NAL_IDR = 5;
export const NAL_SEI = 6;
export const NAL_SPS = 7;
export const NAL_PPS = 8;
export const NAL_STAP_A = 24;
export const NAL_FU_A = 28;

/** A NAL unit or a part of one within a payload: the bytes behind its header are [start, end). */
export interface NalPart {
  /** The NAL unit's own header byte, put together again for a fragment. */
  header: number;
  type: number;
  start: number;
  end: number;
  begins: boolean;
  ends: boolean;
}

/** The NAL units of an RTP payload [start, end) in the packetization modes 0 and 1; what is cut is left out. */
export function nalParts(buffer: Buffer, start: number, end: number): NalPart[] {
  if (end - start < 2) return [];
  const first = buffer[start]!;
  const type = first & 0x1f;
  if (type === NAL_STAP_A) return aggregated(buffer, start + 1, end);
  if (type === NAL_FU_A) {
    const fragment = buffer[start + 1]!;
    const header = (first & 0xe0) | (fragment & 0x1f);
    const [begins, ends] = [(fragment & 0x80) !== 0, (fragment & 0x40) !== 0];
    return [{ header, type: header & 0x1f, start: start + 2, end, begins, ends }];
  }
  return [{ header: first, type, start: start + 1, end, begins: true, ends: true }];
}

function aggregated(buffer: Buffer, start: number, end: number): NalPart[] {
  const parts: NalPart[] = [];
  for (let at = start; at + 3 <= end;) {
    const next = at + 2 + buffer.readUInt16BE(at);
    if (next > end || next === at + 2) return parts;
    const header = buffer[at + 2]!;
    parts.push({ header, type: header & 0x1f, start: at + 3, end: next, begins: true, ends: true });
    at = next;
  }
  return parts;
}
