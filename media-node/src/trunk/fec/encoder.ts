import { Envelope, PARITY_HEADER_BYTES, SHARD_LENGTH_BYTES } from '../frames.ts';
import { addProduct, coefficient, MAX_DATA_SHARDS, MAX_PARITY_SHARDS } from './gf256.ts';

/** A group of a slow stream is closed before it is full, in time for its parity to be there before a resend would be. */
const LEAST_GROUP_LIFE_MS = 30;
const MOST_GROUP_LIFE_MS = 100;

/** How long a group may stay open on a trunk of this RTT. */
export function groupLifeMs(rttMs: number): number {
  return Math.min(MOST_GROUP_LIFE_MS, Math.max(LEAST_GROUP_LIFE_MS, rttMs / 2));
}

/** Makes parity over groups of datagrams as they go out: each shard is added to the sums and then forgotten. */
export class FecEncoder {
  /** When an open group has to be closed although it is not full. */
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

  /** Group that the next one of this trunk has to begin with, once this encoder's is closed. */
  get nextGroup(): number {
    return this.group;
  }

  get isFull(): boolean {
    return this.count === this.dataShards;
  }

  /** Adds what a datagram carries to the open group; says under which group and index it has to travel. A group lives `lifeMs` from its first. */
  add(frames: Buffer, nowMs: number, lifeMs = LEAST_GROUP_LIFE_MS): { group: number; index: number } {
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

  /** Plaintexts of the group's parity datagrams, valid until the next `add`; fewer for a group that was closed early. */
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
