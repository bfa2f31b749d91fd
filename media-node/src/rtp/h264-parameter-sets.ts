import { BitReader } from './bit-reader.ts';
import { NAL_FU_A, NAL_IDR, NAL_PPS, NAL_SEI, NAL_SLICE, NAL_SPS, NAL_STAP_A, nalParts, type NalPart } from './h264-nal-units.ts';

/** Parameter sets kept for one stream. Few are in use at once, though ids go up to 31 and 255 (H.264 section 7.4.2). */
const MAX_SETS_OF_A_KIND = 32;
const MAX_SET_BYTES = 4096;
/** Fits behind the headers of every path that RTP is sent over. */
const MAX_PAYLOAD_BYTES = 1100;

interface PictureParameters {
  nal: Buffer;
  sps: number;
}

export interface H264Packetization {
  /** RFC 6184 section 6.2: 0 allows single NAL units alone. */
  packetizationMode: number;
  /** `sprop-parameter-sets` of the SDP (RFC 6184 section 8.1). */
  sprop?: string;
}

/**
 * The parameter sets (SPS, PPS) of one H.264 source: the latest of each id, from its SDP and from its packets. They complete a picture at
 * which decoding can start and that comes without them: no decoder that joins there, and no mediasoup, can begin without an SPS. Such
 * pictures are IDR pictures and those with a recovery point SEI message (open GOP, periodic intra refresh; H.264 section D.2.8).
 */
export class H264ParameterSets {
  readonly #mode: number;
  readonly #sps = new Map<number, Buffer>();
  readonly #pps = new Map<number, PictureParameters>();
  #fragment: { seq: number; parts: Buffer[]; bytes: number } | undefined;
  /** Ids of sets that were forwarded since the last slice, and the timestamp of that slice. */
  readonly #freshSps = new Set<number>();
  readonly #freshPps = new Set<number>();
  #slicedTimestamp: number | undefined;
  /** The timestamp of the picture that was completed last. */
  #completedTimestamp: number | undefined;

  constructor(format: H264Packetization) {
    this.#mode = format.packetizationMode;
    for (const encoded of (format.sprop ?? '').split(',')) this.#learn(Buffer.from(encoded, 'base64'));
  }

  /**
   * Learns from a packet as it comes, in any order.
   * @returns whether decoding can start at this packet, it has no SPS, and the sets that the picture refers to are known
   */
  onArrival(buffer: Buffer, start: number, end: number, seq: number): boolean {
    if (!mayMatter(buffer, start, end) && !this.#fragment) return false;
    const parts = nalParts(buffer, start, end);
    for (const part of parts) {
      if (part.type !== NAL_SPS && part.type !== NAL_PPS) continue;
      if (part.begins && part.ends) this.#learn(nalOf(buffer, part));
      else this.#collect(buffer, part, seq);
    }
    if (parts.some(({ type }) => type === NAL_SPS)) return false;
    if (parts.some((part) => isRecoveryPoint(buffer, part))) return this.#pictureParameters().length > 0;
    const idr = parts.find(({ type, begins }) => type === NAL_IDR && begins);
    return idr !== undefined && this.#neededBy(buffer, idr) !== undefined;
  }

  /**
   * Looks at a packet as it is forwarded, in order.
   * @returns the payloads that belong in front of it: none, unless decoding can start at it and the picture's sets did not come
   */
  missingBefore(buffer: Buffer, start: number, end: number, timestamp: number): Buffer[] {
    if (!mayMatter(buffer, start, end)) {
      this.#onSlice(timestamp);
      return NONE;
    }
    let missing = NONE;
    for (const part of nalParts(buffer, start, end)) {
      if (part.type === NAL_SPS && part.begins) this.#freshSps.add(spsId(buffer, part));
      else if (part.type === NAL_PPS && part.begins) this.#freshPps.add(ppsIds(buffer, part).pps);
      else if (isRecoveryPoint(buffer, part) && timestamp !== this.#completedTimestamp && this.#freshSps.size === 0)
        missing = this.#kept(timestamp);
      else if (part.type >= NAL_SLICE && part.type <= NAL_IDR) {
        const isFirstSlice = part.begins && timestamp !== this.#slicedTimestamp && timestamp !== this.#completedTimestamp;
        if (part.type === NAL_IDR && isFirstSlice) missing = this.#completing(buffer, part, timestamp);
        this.#onSlice(timestamp);
      }
    }
    return missing;
  }

  #onSlice(timestamp: number): void {
    this.#slicedTimestamp = timestamp;
    if (this.#freshSps.size > 0) this.#freshSps.clear();
    if (this.#freshPps.size > 0) this.#freshPps.clear();
  }

  #completing(buffer: Buffer, idr: NalPart, timestamp: number): Buffer[] {
    const needed = this.#neededBy(buffer, idr);
    if (!needed || (this.#freshPps.has(needed.pps) && this.#freshSps.has(needed.sps))) return NONE;
    return this.#kept(timestamp);
  }

  #kept(timestamp: number): Buffer[] {
    const pps = this.#pictureParameters();
    if (pps.length === 0) return NONE;
    this.#completedTimestamp = timestamp;
    return packetize([...this.#sps.values(), ...pps], this.#mode);
  }

  /** The PPSs whose SPS is known. */
  #pictureParameters(): Buffer[] {
    return [...this.#pps.values()].filter(({ sps }) => this.#sps.has(sps)).map(({ nal }) => nal);
  }

  /** The sets that the first slice of a picture refers to, if they are known. */
  #neededBy(buffer: Buffer, idr: NalPart): { sps: number; pps: number } | undefined {
    const bits = new BitReader(buffer, idr.start, idr.end);
    const firstMacroblock = bits.readExpGolomb();
    bits.readExpGolomb(); // slice_type
    const pps = bits.readExpGolomb();
    const known = this.#pps.get(pps);
    if (bits.overrun || firstMacroblock !== 0 || !known || !this.#sps.has(known.sps)) return undefined;
    return { sps: known.sps, pps };
  }

  #collect(buffer: Buffer, part: NalPart, seq: number): void {
    const bytes = buffer.subarray(part.start, part.end);
    if (part.begins) this.#fragment = { seq, parts: [Buffer.from([part.header]), Buffer.from(bytes)], bytes: bytes.length };
    else if (this.#fragment && seq === ((this.#fragment.seq + 1) & 0xffff)) {
      this.#fragment.seq = seq;
      this.#fragment.bytes += bytes.length;
      this.#fragment.parts.push(Buffer.from(bytes));
    } else this.#fragment = undefined;
    if (this.#fragment && this.#fragment.bytes > MAX_SET_BYTES) this.#fragment = undefined;
    if (!part.ends || !this.#fragment) return;
    this.#learn(Buffer.concat(this.#fragment.parts));
    this.#fragment = undefined;
  }

  #learn(nal: Buffer): void {
    if (nal.length < 2 || nal.length > MAX_SET_BYTES) return;
    const [part] = nalParts(nal, 0, nal.length);
    if (part?.type === NAL_SPS && nal.length > 4) keep(this.#sps, spsId(nal, part), nal);
    if (part?.type === NAL_PPS) {
      const { pps, sps } = ppsIds(nal, part);
      keep(this.#pps, pps, { nal, sps });
    }
  }
}

const NONE: Buffer[] = [];

const SEI_RECOVERY_POINT = 6;

/** Whether an SEI NAL unit holds a recovery point message (H.264 sections 7.3.2.3.1 and D.1.8). */
function isRecoveryPoint(buffer: Buffer, { type, begins, start, end }: NalPart): boolean {
  if (type !== NAL_SEI || !begins) return false;
  for (let at = start; at + 2 < end;) {
    const [payloadType, afterType] = readSeiNumber(buffer, at, end);
    if (payloadType === SEI_RECOVERY_POINT) return true;
    const [size, afterSize] = readSeiNumber(buffer, afterType, end);
    at = afterSize + size;
  }
  return false;
}

/** Bytes of 255 and a last one, which add up. Returns the number and the position behind it. */
function readSeiNumber(buffer: Buffer, from: number, end: number): [value: number, next: number] {
  let at = from;
  while (at < end && buffer[at] === 0xff) at += 1;
  return [(at - from) * 255 + (at < end ? buffer[at]! : 0), at + 1];
}

/** Fast path: two bytes identify non-IDR slices and fragments, which are most packets. */
function mayMatter(buffer: Buffer, start: number, end: number): boolean {
  if (end - start < 2) return false;
  const type = buffer[start]! & 0x1f;
  if (type === NAL_STAP_A) return true;
  const inner = type === NAL_FU_A ? buffer[start + 1]! & 0x1f : type;
  return inner === NAL_SPS || inner === NAL_PPS || inner === NAL_IDR || inner === 0 || inner > NAL_IDR;
}

function nalOf(buffer: Buffer, { header, start, end }: NalPart): Buffer {
  const nal = Buffer.allocUnsafe(end - start + 1);
  nal[0] = header;
  buffer.copy(nal, 1, start, end);
  return nal;
}

/** H.264 section 7.3.2.1.1: profile, constraints and level stand before the id. */
function spsId(buffer: Buffer, { start, end }: NalPart): number {
  return new BitReader(buffer, Math.min(start + 3, end), end).readExpGolomb();
}

/** H.264 section 7.3.2.2. */
function ppsIds(buffer: Buffer, { start, end }: NalPart): { pps: number; sps: number } {
  const bits = new BitReader(buffer, start, end);
  return { pps: bits.readExpGolomb(), sps: bits.readExpGolomb() };
}

/** Keeps the newest last and evicts the oldest above the limit. */
function keep<T>(sets: Map<number, T>, id: number, set: T): void {
  sets.delete(id);
  sets.set(id, set);
  if (sets.size > MAX_SETS_OF_A_KIND) sets.delete(sets.keys().next().value!);
}

/** NAL units as payloads: aggregated and fragmented where the packetization mode allows it. */
function packetize(nals: Buffer[], mode: number): Buffer[] {
  if (mode === 0) return nals;
  const payloads: Buffer[] = [];
  let together: Buffer[] = [];
  let bytes = 1;
  const flush = (): void => {
    if (together.length === 1) payloads.push(together[0]!);
    else if (together.length > 1) payloads.push(aggregate(together));
    together = [];
    bytes = 1;
  };
  for (const nal of nals) {
    if (bytes + 2 + nal.length > MAX_PAYLOAD_BYTES) flush();
    if (nal.length > MAX_PAYLOAD_BYTES) payloads.push(...fragments(nal));
    else {
      together.push(nal);
      bytes += 2 + nal.length;
    }
  }
  flush();
  return payloads;
}

/** RFC 6184 section 5.7.1. */
function aggregate(nals: Buffer[]): Buffer {
  const importance = Math.max(...nals.map((nal) => nal[0]! & 0x60));
  const sized = nals.flatMap((nal) => [Buffer.from([nal.length >> 8, nal.length & 0xff]), nal]);
  return Buffer.concat([Buffer.from([importance | NAL_STAP_A]), ...sized]);
}

/** RFC 6184 section 5.8. */
function fragments(nal: Buffer): Buffer[] {
  const indicator = (nal[0]! & 0xe0) | NAL_FU_A;
  const type = nal[0]! & 0x1f;
  const room = MAX_PAYLOAD_BYTES - 2;
  const payloads: Buffer[] = [];
  for (let at = 1; at < nal.length; at += room) {
    const flags = (at === 1 ? 0x80 : 0) | (at + room >= nal.length ? 0x40 : 0);
    payloads.push(Buffer.concat([Buffer.from([indicator, flags | type]), nal.subarray(at, at + room)]));
  }
  return payloads;
}
