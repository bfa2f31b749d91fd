import { DATA_HEADER_BYTES, TAG_BYTES } from './link/wire.ts';

/** What a data datagram carries under its seal (docs/trunk.md). First byte: */
export const Envelope = { plain: 0, shard: 1, parity: 2 } as const;

export const ENVELOPE_BYTES = 1;

/** envelope u8, shard index u8, group u32: what a shard has before its frames. */
export const SHARD_HEADER_BYTES = 6;
/** The shard header, then data shards u8, parity shards u8: what precedes the parity bytes. */
export const PARITY_HEADER_BYTES = 8;
/** FEC protects a shard together with its length (u16, little-endian), so that the decoder can strip the padding. */
export const SHARD_LENGTH_BYTES = 2;

/** Frames: type u8, length u16, body; little-endian. Receivers skip unknown types, so that later versions may add some. */
export const FrameType = { padding: 0, segments: 1, beat: 2, forward: 3, close: 4, probe: 5, probeAnswer: 6 } as const;
export const FRAME_HEADER_BYTES = 3;
export const FORWARD_BYTES = 8;
/** Probe and answer: round u32, size of the probing datagram u16. */
export const PROBE_BYTES = 6;
/** Bytes of a datagram besides its frames when FEC does not protect it. */
export const PLAIN_OVERHEAD_BYTES = DATA_HEADER_BYTES + ENVELOPE_BYTES + TAG_BYTES;

/** Bytes of frames that a datagram of this size takes, whether or not FEC protects it (its parity is the longest form). */
export function frameRoom(maxDatagram: number): number {
  return maxDatagram - DATA_HEADER_BYTES - TAG_BYTES - PARITY_HEADER_BYTES - SHARD_LENGTH_BYTES;
}

/** Builds the frames of one datagram in a buffer that it reuses for the next. */
export class FrameWriter {
  readonly bytes: Buffer;
  at = SHARD_HEADER_BYTES;
  private frameStart = 0;

  constructor(maxDatagram: number) {
    this.bytes = Buffer.alloc(maxDatagram);
  }

  begin(): void {
    this.at = SHARD_HEADER_BYTES;
  }

  get isEmpty(): boolean {
    return this.at === SHARD_HEADER_BYTES;
  }

  /** Opens a frame; the caller writes its body to `bytes` from `at`. */
  open(type: number): void {
    this.frameStart = this.at;
    this.bytes[this.at] = type;
    this.at += FRAME_HEADER_BYTES;
  }

  /** `end`: offset behind the body. A frame with an empty body is removed. */
  close(end: number): void {
    const length = end - this.frameStart - FRAME_HEADER_BYTES;
    this.at = length === 0 ? this.frameStart : end;
    this.bytes.writeUInt16LE(length, this.frameStart + 1);
  }

  /** Frames alone, without an envelope: valid until the next `begin`. */
  get frames(): Buffer {
    return this.bytes.subarray(SHARD_HEADER_BYTES, this.at);
  }

  asPlain(): Buffer {
    this.bytes[SHARD_HEADER_BYTES - 1] = Envelope.plain;
    return this.bytes.subarray(SHARD_HEADER_BYTES - 1, this.at);
  }

  asShard(group: number, index: number): Buffer {
    this.bytes[0] = Envelope.shard;
    this.bytes[1] = index;
    this.bytes.writeUInt32LE(group, 2);
    return this.bytes.subarray(0, this.at);
  }
}

/** Calls `take` for each frame from `offset` on; false when the bytes are malformed (those before count). */
export function readFrames(bytes: Buffer, offset: number, take: (type: number, body: Buffer) => boolean): boolean {
  let sound = true;
  while (offset < bytes.length) {
    if (offset + FRAME_HEADER_BYTES > bytes.length) return false;
    const start = offset + FRAME_HEADER_BYTES;
    const end = start + bytes.readUInt16LE(offset + 1);
    if (end > bytes.length) return false;
    sound = take(bytes[offset]!, bytes.subarray(start, end)) && sound;
    offset = end;
  }
  return sound;
}
