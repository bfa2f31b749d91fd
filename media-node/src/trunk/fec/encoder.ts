import { Envelope, PARITY_HEADER_BYTES, SHARD_LENGTH_BYTES } from '../frames.ts';
import { addProduct, coefficient, MAX_DATA_SHARDS, MAX_PARITY_SHARDS } from './gf256.ts';

/** A group of a slow stream is closed before it is full, so that its parity arrives before a retransmission would. */
const MIN_GROUP_LIFE_MS = 30;
const MAX_GROUP_LIFE_MS = 100;

/** How long a group may stay open on a trunk of this RTT. */
export function groupLifeMs(rttMs: number): number {
  return Math.min(MAX_GROUP_LIFE_MS, Math.max(MIN_GROUP_LIFE_MS, rttMs / 2));
}

/** Computes parity over groups of outgoing datagrams incrementally: shards are added to the sums and not kept. */
export class FecEncoder {
  /** When to close an open group that is not full, ms; Infinity without one. */
  dueMs = Infinity;
  private readonly dataShards: number;
  private readonly parityShards: number;
  private readonly sums: Buffer[];
  private group: number;
  private count = 0;
  private longest = 0;

  constructor(dataShards: number, parityShards: number, maxFrames: number, firstGroup = 0) {
    this.group = firstGroup;
    if (dataShards < 1 || dataShards > MAX_DATA_SHARDS)
      throw new RangeError(`fec.dataShards ${dataShards}: must be 1 to ${MAX_DATA_SHARDS}`);
    if (parityShards < 1 || parityShards > MAX_PARITY_SHARDS) {
      throw new RangeError(`fec.parityShards ${parityShards}: must be 1 to ${MAX_PARITY_SHARDS}`);
    }
    this.dataShards = dataShards;
    this.parityShards = parityShards;
    this.sums = Array.from({ length: parityShards }, () => Buffer.alloc(PARITY_HEADER_BYTES + SHARD_LENGTH_BYTES + maxFrames));
  }

  /** Number of the open or next group; the next encoder of this trunk continues from it. */
  get nextGroup(): number {
    return this.group;
  }

  get isFull(): boolean {
    return this.count === this.dataShards;
  }

  /** Adds a datagram's frames to the open group; returns the group and index for its header. A group stays open for `lifeMs` from its first shard. */
  add(frames: Buffer, nowMs: number, lifeMs = MIN_GROUP_LIFE_MS): { group: number; index: number } {
    const index = this.count++;
    if (index === 0) this.dueMs = nowMs + lifeMs;
    this.longest = Math.max(this.longest, frames.length);
    for (let parity = 0; parity < this.parityShards; parity++) {
      const factor = coefficient(parity, index);
      const sum = this.sums[parity]!;
      addProduct(sum, PARITY_HEADER_BYTES, Buffer.of(frames.length & 0xff, frames.length >> 8), factor);
      addProduct(sum, PARITY_HEADER_BYTES + SHARD_LENGTH_BYTES, frames, factor);
    }
    return { group: this.group, index };
  }

  /** Closes the group. Returns the plaintexts of its parity datagrams; fewer for a group that was closed early. */
  close(): Buffer[] {
    const wanted = Math.ceil((this.parityShards * this.count) / this.dataShards);
    const end = PARITY_HEADER_BYTES + SHARD_LENGTH_BYTES + this.longest;
    const parity = this.sums.slice(0, wanted).map((sum, index) => {
      sum[0] = Envelope.parity;
      sum[1] = index;
      sum.writeUInt32LE(this.group, 2);
      sum[6] = this.count;
      sum[7] = wanted;
      return Buffer.from(sum.subarray(0, end));
    });
    for (const sum of this.sums) sum.fill(0, PARITY_HEADER_BYTES, end);
    this.group = (this.group + 1) >>> 0;
    this.count = 0;
    this.longest = 0;
    this.dueMs = Infinity;
    return parity;
  }
}
