const SEI = 6;
const SPS = 7;
const PPS = 8;
const ACCESS_UNIT_DELIMITER = 9;
const STAP_A = 24;
const FU_A = 28;

/** Returns the NAL units of each access unit, without delimiters and SEI. The input is Annex B with delimiters (H.264 B.1, 7.4.1.2.3). */
export function splitAccessUnits(stream: Buffer): Buffer[][] {
  const units: Buffer[][] = [];
  for (const nal of splitNals(stream)) {
    const type = nal[0]! & 0x1f;
    if (type === ACCESS_UNIT_DELIMITER) units.push([]);
    else if (type !== SEI) units[units.length - 1]?.push(nal);
  }
  return units.filter((unit) => unit.length > 0);
}

function splitNals(stream: Buffer): Buffer[] {
  const starts: number[] = [];
  for (let at = stream.indexOf(START_CODE); at >= 0; at = stream.indexOf(START_CODE, at + 3)) starts.push(at);
  return starts
    .map((start, i) => withoutTrailingZeros(stream.subarray(start + 3, starts[i + 1] ?? stream.length)))
    .filter((nal) => nal.length > 0);
}

const START_CODE = Buffer.from([0, 0, 1]);

/** The zero byte before a four-byte start code is not part of the NAL unit. */
function withoutTrailingZeros(nal: Buffer): Buffer {
  let end = nal.length;
  while (end > 0 && nal[end - 1] === 0) end -= 1;
  return nal.subarray(0, end);
}

/** Returns the RTP payloads of one access unit (RFC 6184): parameter sets in one STAP-A, large NAL units in FU-As. */
export function packetize(nals: readonly Buffer[], maxPayloadBytes: number): Buffer[] {
  const parameterSets = nals.filter((nal) => isParameterSet(nal));
  const slices = nals.filter((nal) => !isParameterSet(nal));
  const head = parameterSets.length > 0 ? [aggregate(parameterSets)] : [];
  return [...head, ...slices.flatMap((nal) => (nal.length <= maxPayloadBytes ? [nal] : fragment(nal, maxPayloadBytes)))];
}

function isParameterSet(nal: Buffer): boolean {
  const type = nal[0]! & 0x1f;
  return type === SPS || type === PPS;
}

function aggregate(nals: readonly Buffer[]): Buffer {
  const importance = Math.max(...nals.map((nal) => nal[0]! & 0x60));
  const parts = nals.flatMap((nal) => [Buffer.from([nal.length >> 8, nal.length & 0xff]), nal]);
  return Buffer.concat([Buffer.from([importance | STAP_A]), ...parts]);
}

function fragment(nal: Buffer, maxPayloadBytes: number): Buffer[] {
  const size = maxPayloadBytes - 2;
  const fragments: Buffer[] = [];
  for (let at = 1; at < nal.length; at += size) {
    const starts = at === 1 ? 0x80 : 0;
    const ends = at + size >= nal.length ? 0x40 : 0;
    const head = Buffer.from([(nal[0]! & 0x60) | FU_A, starts | ends | (nal[0]! & 0x1f)]);
    fragments.push(Buffer.concat([head, nal.subarray(at, at + size)]));
  }
  return fragments;
}
