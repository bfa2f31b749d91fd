import { PARITY_HEADER_BYTES, SHARD_HEADER_BYTES, SHARD_LENGTH_BYTES } from '../frames.ts';
import { addProduct, coefficient, inverse, MAX_DATA_SHARDS, MAX_PARITY_SHARDS, multiply, scale } from './gf256.ts';

/** Groups kept. Shards of older groups are accepted but recover nothing. */
const GROUPS = 64;

export interface FecCounters {
  recovered: number;
  /** Shards of groups that lost more shards than they had parity. */
  unrecovered: number;
  parityReceived: number;
}

interface Group {
  id: number;
  /** Frames by index. */
  data: (Buffer | undefined)[];
  have: number;
  parity: (Buffer | undefined)[];
  parities: number;
  /** 0 until a parity shard arrived. */
  dataShards: number;
}

export type ShardVerdict = 'new' | 'duplicate' | 'malformed';

/** Recovers lost datagrams from the other shards of their group, which may arrive in any order. */
export class FecDecoder {
  readonly counters: FecCounters = { recovered: 0, unrecovered: 0, parityReceived: 0 };
  private readonly groups: (Group | undefined)[] = new Array<Group | undefined>(GROUPS).fill(undefined);
  private readonly onRecovered: (frames: Buffer) => void;

  constructor(onRecovered: (frames: Buffer) => void) {
    this.onRecovered = onRecovered;
  }

  /** Takes a data shard's plaintext. Read its frames only when 'new', since it may have been recovered already; call `settle` afterwards. */
  receiveShard(plaintext: Buffer): ShardVerdict {
    if (plaintext.length < SHARD_HEADER_BYTES) return 'malformed';
    const index = plaintext[1]!;
    if (index >= MAX_DATA_SHARDS) return 'malformed';
    const group = this.groupOf(plaintext.readUInt32LE(2));
    if (!group) return 'new';
    if (group.data[index]) return 'duplicate';
    group.data[index] = plaintext.subarray(SHARD_HEADER_BYTES);
    group.have++;
    return 'new';
  }

  receiveParity(plaintext: Buffer): ShardVerdict {
    if (plaintext.length < PARITY_HEADER_BYTES + SHARD_LENGTH_BYTES) return 'malformed';
    const index = plaintext[1]!;
    const dataShards = plaintext[6]!;
    if (index >= MAX_PARITY_SHARDS || dataShards === 0 || dataShards > MAX_DATA_SHARDS) return 'malformed';
    const group = this.groupOf(plaintext.readUInt32LE(2));
    if (!group) return 'duplicate';
    if (group.parity[index]) return 'duplicate';
    if (group.dataShards !== 0 && group.dataShards !== dataShards) return 'malformed';
    group.parity[index] = plaintext.subarray(PARITY_HEADER_BYTES);
    group.parities++;
    group.dataShards = dataShards;
    this.counters.parityReceived++;
    return 'new';
  }

  /** Recovers the missing shards of this shard's group if possible. Separate from `receive…`, so that a shard's own frames are read first. */
  settle(plaintext: Buffer): void {
    const id = plaintext.readUInt32LE(2);
    const group = this.groups[id % GROUPS];
    if (!group || group.id !== id || group.parities === 0) return;
    const missing = group.dataShards - group.have;
    if (missing <= 0 || missing > group.parities) return;
    for (const frames of recover(group)) {
      this.counters.recovered++;
      this.onRecovered(frames);
    }
  }

  private groupOf(id: number): Group | undefined {
    const slot = id % GROUPS;
    const held = this.groups[slot];
    if (held?.id === id) return held;
    if (held && ((id - held.id) | 0) < 0) return undefined;
    if (held && held.dataShards > held.have) this.counters.unrecovered += held.dataShards - held.have;
    const group: Group = { id, data: [], have: 0, parity: [], parities: 0, dataShards: 0 };
    this.groups[slot] = group;
    return group;
  }
}

/** Solves the group for its missing shards by Gauss-Jordan elimination; marks them as held. Empty when the shards contradict each other. */
function recover(group: Group): Buffer[] {
  const missing: number[] = [];
  for (let index = 0; index < group.dataShards; index++) if (!group.data[index]) missing.push(index);
  const rows = takeRows(group, missing);
  if (!rows) return [];
  for (let column = 0; column < missing.length; column++) {
    const pivot = rows.findIndex((row, at) => at >= column && row.factors[column] !== 0);
    if (pivot < 0) return [];
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    eliminate(rows, column);
  }
  const recovered: Buffer[] = [];
  missing.forEach((index, at) => {
    const { sum } = rows[at]!;
    const length = sum.readUInt16LE(0);
    const sound = SHARD_LENGTH_BYTES + length <= sum.length;
    group.data[index] = sound ? sum.subarray(SHARD_LENGTH_BYTES, SHARD_LENGTH_BYTES + length) : Buffer.alloc(0);
    group.have++;
    if (sound) recovered.push(group.data[index]);
  });
  return recovered;
}

interface Row {
  /** Coefficients of the missing shards. */
  factors: number[];
  /** Parity minus the shards that arrived. */
  sum: Buffer;
}

function takeRows(group: Group, missing: number[]): Row[] | undefined {
  const rows: Row[] = [];
  for (let parity = 0; parity < MAX_PARITY_SHARDS && rows.length < missing.length; parity++) {
    const shard = group.parity[parity];
    if (!shard) continue;
    const sum = Buffer.from(shard);
    for (let index = 0; index < group.dataShards; index++) {
      const frames = group.data[index];
      if (!frames) continue;
      if (SHARD_LENGTH_BYTES + frames.length > sum.length) return undefined;
      const factor = coefficient(parity, index);
      addProduct(sum, 0, Buffer.of(frames.length & 0xff, frames.length >> 8), factor);
      addProduct(sum, SHARD_LENGTH_BYTES, frames, factor);
    }
    rows.push({ factors: missing.map((index) => coefficient(parity, index)), sum });
  }
  const [first] = rows;
  return rows.every((row) => row.sum.length === first!.sum.length) ? rows : undefined;
}

function eliminate(rows: Row[], column: number): void {
  const own = rows[column]!;
  const factor = inverse(own.factors[column]!);
  own.factors = own.factors.map((value) => multiply(value, factor));
  scale(own.sum, factor);
  for (const row of rows) {
    const times = row.factors[column]!;
    if (row === own || times === 0) continue;
    row.factors = row.factors.map((value, at) => value ^ multiply(own.factors[at]!, times));
    addProduct(row.sum, 0, own.sum, times);
  }
}
