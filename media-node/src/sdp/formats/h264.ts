/**
 * The meaning of `profile-level-id` (RFC 6184 section 8.1): three hexadecimal bytes, profile_idc, the constraint flags profile_iop, and level_idc.
 * Profile names and constraints follow ITU-T H.264 Annex A.
 */
export interface H264Format {
  /** The parameter as received, in lower case. */
  id: string;
  /** The name in Annex A, e.g. "Constrained Baseline"; undefined for an unknown profile_idc. */
  profile: string | undefined;
  /** Coding tools that a stream of this profile and these constraints may use. */
  tools: ReadonlySet<Tool>;
  /** In tenths: 31 is level 3.1. Level 1b, which lies between 1 and 1.1, counts as level 1. */
  level: number;
}

type Tool =
  | 'inter prediction'
  | 'B slices'
  | 'interlaced coding'
  | 'CABAC'
  | '8x8 transform'
  | '10 bit'
  | '4:2:2'
  | '4:4:4'
  | 'data partitioning'
  | `profile_idc ${number}`;

/** Omits arbitrary slice order, flexible macroblock order and redundant slices (Baseline, Extended), because current encoders use none of them. */
const BASELINE: Tool[] = ['inter prediction'];
const MAIN: Tool[] = [...BASELINE, 'B slices', 'interlaced coding', 'CABAC'];
const HIGH: Tool[] = [...MAIN, '8x8 transform'];
const HIGH_10: Tool[] = [...HIGH, '10 bit'];
const HIGH_422: Tool[] = [...HIGH_10, '4:2:2'];
const HIGH_444: Tool[] = [...HIGH_422, '4:4:4'];

const PROFILES: Readonly<Record<number, { name: string; tools: readonly Tool[] }>> = {
  0x42: { name: 'Baseline', tools: BASELINE },
  0x4d: { name: 'Main', tools: MAIN },
  0x58: { name: 'Extended', tools: [...BASELINE, 'B slices', 'interlaced coding', 'data partitioning'] },
  0x64: { name: 'High', tools: HIGH },
  0x6e: { name: 'High 10', tools: HIGH_10 },
  0x7a: { name: 'High 4:2:2', tools: HIGH_422 },
  0xf4: { name: 'High 4:4:4 Predictive', tools: HIGH_444 },
  0x2c: { name: 'CAVLC 4:4:4 Intra', tools: HIGH_444.filter((tool) => tool !== 'CABAC' && tool !== 'inter prediction') },
};

/** Constraint flags of profile_iop, the first one in the highest bit. */
const SET0 = 0x80;
const SET1 = 0x40;
const SET3 = 0x10;
const SET4 = 0x08;
const SET5 = 0x04;

/** @returns undefined when `value` is not three hexadecimal bytes; the default of RFC 6184 (Baseline, level 1) when it is absent */
export function parseProfileLevelId(value: string | number | undefined): H264Format | undefined {
  const id = value === undefined ? '42000a' : String(value).toLowerCase();
  if (!/^[0-9a-f]{6}$/.test(id)) return undefined;
  const bytes = Number.parseInt(id, 16);
  const idc = bytes >> 16;
  const iop = (bytes >> 8) & 0xff;
  const level = bytes & 0xff;
  // Annex A.3.4: level 1b is 11 with constraint_set3_flag in the profiles without 8x8 transform, and 9 in the others.
  const is1b = level === 11 && (iop & SET3) !== 0 && (idc === 0x42 || idc === 0x4d || idc === 0x58);
  return { id, ...profileOf(idc, iop), level: is1b || level === 9 ? 10 : level };
}

function profileOf(idc: number, iop: number): Pick<H264Format, 'profile' | 'tools'> {
  const base = PROFILES[idc];
  if (!base) return { profile: undefined, tools: new Set<Tool>([`profile_idc ${idc}`]) };
  // RFC 6184 table 5: a stream that obeys the constraints of both Baseline and Main is Constrained Baseline, whatever its profile_idc.
  if ((idc === 0x42 && (iop & SET1) !== 0) || (idc === 0x4d && (iop & SET0) !== 0) || (idc === 0x58 && (iop & 0xc0) === 0xc0))
    return { profile: 'Constrained Baseline', tools: new Set(BASELINE) };
  if (idc === 0x58 && (iop & SET0) !== 0) return { profile: 'Baseline', tools: new Set(BASELINE) };
  if (idc === 0x42) return { profile: 'Baseline', tools: new Set(BASELINE) };
  const tools = new Set(base.tools);
  // Annex A.2.4 and following: constraint_set4_flag is frame_mbs_only, constraint_set5_flag is no B slices; A.2.8 to A.2.11: set3 is intra only.
  const isHigh10OrAbove = idc === 0x6e || idc === 0x7a || idc === 0xf4;
  if (isHigh10OrAbove && (iop & SET3) !== 0) {
    tools.delete('inter prediction');
    tools.delete('B slices');
    return { profile: `${base.name === 'High 4:4:4 Predictive' ? 'High 4:4:4' : base.name} Intra`, tools };
  }
  const isProgressive = idc !== 0x58 && (iop & SET4) !== 0;
  const hasNoB = idc !== 0x58 && (iop & SET5) !== 0;
  if (isProgressive) tools.delete('interlaced coding');
  if (hasNoB) tools.delete('B slices');
  const prefix = isProgressive && hasNoB ? 'Constrained ' : isProgressive ? 'Progressive ' : '';
  return { profile: prefix + base.name, tools };
}

/** The coding tools of the stream's profile that the decoder lacks. Empty when it can decode the profile. */
export function missingTools(decoder: H264Format, stream: H264Format): string[] {
  return [...stream.tools].filter((tool) => !decoder.tools.has(tool));
}

/** A description for error messages, e.g. "64001f (High, level 3.1)". */
export function nameOfFormat({ id, profile, level }: H264Format): string {
  return `${id} (${profile ?? 'unknown profile'}, level ${Math.floor(level / 10)}${level % 10 === 0 ? '' : `.${level % 10}`})`;
}
