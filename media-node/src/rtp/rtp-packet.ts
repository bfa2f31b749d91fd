/** Fixed part of an RTP header (RFC 3550 section 5.1). */
export const RTP_FIXED_BYTES = 12;

const ONE_BYTE_PROFILE = 0xbede;
const TWO_BYTE_PROFILE = 0x1000;

/**
 * A view of one RTP packet inside a buffer. Reused for all packets, so that parsing allocates nothing.
 * The fields are valid until the next parse.
 */
export class RtpView {
  buffer: Buffer = Buffer.alloc(0);
  start = 0;
  marker = false;
  payloadType = 0;
  seq = 0;
  timestamp = 0;
  ssrc = 0;
  /** Payload without padding: [payloadStart, payloadEnd) in `buffer`. */
  payloadStart = 0;
  payloadEnd = 0;
  /** The element whose id was looked for last: [extensionStart, extensionEnd). */
  extensionStart = 0;
  extensionEnd = 0;

  #profile = 0;
  #extensionsStart = 0;
  #extensionsEnd = 0;

  /** False, when the bytes [start, end) are no complete RTP packet of version 2. */
  parse(buffer: Buffer, start = 0, end = buffer.length): boolean {
    if (end - start < RTP_FIXED_BYTES) return false;
    const first = buffer[start]!;
    if (first >> 6 !== 2) return false;
    const second = buffer[start + 1]!;
    this.buffer = buffer;
    this.start = start;
    this.marker = second >= 0x80;
    this.payloadType = second & 0x7f;
    this.seq = (buffer[start + 2]! << 8) | buffer[start + 3]!;
    this.timestamp = buffer.readUInt32BE(start + 4);
    this.ssrc = buffer.readUInt32BE(start + 8);
    const csrcEnd = start + RTP_FIXED_BYTES + (first & 0x0f) * 4;
    if (csrcEnd > end) return false;
    this.payloadStart = csrcEnd;
    if (!this.#parseExtensions((first & 0x10) !== 0, csrcEnd, end)) return false;
    return this.#parsePadding((first & 0x20) !== 0, end);
  }

  #parseExtensions(present: boolean, at: number, end: number): boolean {
    this.#profile = 0;
    if (!present) return true;
    if (at + 4 > end) return false;
    const bytes = this.buffer.readUInt16BE(at + 2) * 4;
    if (at + 4 + bytes > end) return false;
    this.#profile = this.buffer.readUInt16BE(at);
    this.#extensionsStart = at + 4;
    this.#extensionsEnd = at + 4 + bytes;
    this.payloadStart = this.#extensionsEnd;
    return true;
  }

  #parsePadding(present: boolean, end: number): boolean {
    this.payloadEnd = end;
    if (!present) return true;
    const padding = this.buffer[end - 1]!;
    if (padding === 0 || end - padding < this.payloadStart) return false;
    this.payloadEnd = end - padding;
    return true;
  }

  /** Finds a header extension (RFC 8285, one-byte and two-byte form); it is at [extensionStart, extensionEnd) then. */
  findExtension(id: number): boolean {
    if (this.#profile === ONE_BYTE_PROFILE) return this.#findOneByte(id);
    if ((this.#profile & 0xfff0) === TWO_BYTE_PROFILE) return this.#findTwoByte(id);
    return false;
  }

  #findOneByte(id: number): boolean {
    let at = this.#extensionsStart;
    while (at < this.#extensionsEnd) {
      const header = this.buffer[at]!;
      const found = header >> 4;
      if (found === 15) return false; // section 4.2: stop at id 15
      if (header === 0) {
        at += 1; // padding
        continue;
      }
      const next = at + 2 + (header & 0x0f);
      if (next > this.#extensionsEnd) return false;
      if (found === id) return this.#at(at + 1, next);
      at = next;
    }
    return false;
  }

  #findTwoByte(id: number): boolean {
    let at = this.#extensionsStart;
    while (at + 1 < this.#extensionsEnd) {
      const found = this.buffer[at]!;
      if (found === 0) {
        at += 1;
        continue;
      }
      const next = at + 2 + this.buffer[at + 1]!;
      if (next > this.#extensionsEnd) return false;
      if (found === id) return this.#at(at + 2, next);
      at = next;
    }
    return false;
  }

  #at(start: number, end: number): true {
    this.extensionStart = start;
    this.extensionEnd = end;
    return true;
  }
}

/** What a sender report counts (RFC 3550 section 6.4.1): the payload of a sound packet [start, end), without header and padding. */
export function payloadBytes(buffer: Buffer, start: number, end: number): number {
  const first = buffer[start]!;
  let header = RTP_FIXED_BYTES + (first & 0x0f) * 4;
  if ((first & 0x10) !== 0) header += 4 + buffer.readUInt16BE(start + header + 2) * 4;
  const padding = (first & 0x20) !== 0 ? buffer[end - 1]! : 0;
  return Math.max(0, end - start - header - padding);
}

/** Changes the payload type in place; the marker bit stays. */
export function setPayloadType(buffer: Buffer, start: number, payloadType: number): void {
  buffer[start + 1] = (buffer[start + 1]! & 0x80) | (payloadType & 0x7f);
}

export function setSequence(buffer: Buffer, start: number, seq: number): void {
  buffer[start + 2] = seq >>> 8;
  buffer[start + 3] = seq;
}

export function setTimestamp(buffer: Buffer, start: number, timestamp: number): void {
  writeUint32(buffer, start + 4, timestamp);
}

export function setSsrc(buffer: Buffer, start: number, ssrc: number): void {
  writeUint32(buffer, start + 8, ssrc);
}

/** RTP and RTCP share a port here (RFC 5761 section 4): RTCP packet types are 192..223. */
export function isRtcp(buffer: Buffer): boolean {
  return buffer.length >= 8 && buffer[0]! >> 6 === 2 && buffer[1]! >= 192 && buffer[1]! <= 223;
}

function writeUint32(buffer: Buffer, at: number, value: number): void {
  buffer[at] = value >>> 24;
  buffer[at + 1] = value >>> 16;
  buffer[at + 2] = value >>> 8;
  buffer[at + 3] = value;
}
