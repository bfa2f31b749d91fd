/**
 * A time stamp as black and white cells in a picture, from which a page computes the age of the frame it shows.
 * The source paints `cellsOf(now)`; the page samples the middle of each cell and calls `timeOf`.
 */

const SYNC = [true, false, true, false];
const TIME_BITS = 32;
const CHECK_BITS = 8;
const END = [false, true, false, true];

export const CELLS = SYNC.length + TIME_BITS + CHECK_BITS + END.length;

/** Position of the cells as fractions of the picture's width and height, which survive scaling. */
export const STRIP = { left: 0.05, top: 0.03, width: 0.9, height: 0.06 } as const;

/** Encodes a time in ms since the Unix epoch as cells; true is white. */
export function cellsOf(wallMs: number): boolean[] {
  const time = Math.floor(wallMs) % 2 ** TIME_BITS;
  return [...SYNC, ...bits(time, TIME_BITS), ...bits(checksum(time), CHECK_BITS), ...END];
}

/**
 * Decodes the time of the cells, in ms since the Unix epoch; undefined if there is no readable stamp.
 * @param luma brightness of each cell, 0 to 255
 * @param nearMs a time within 24 days of the stamp, since the cells hold only its low 32 bits
 */
export function timeOf(luma: readonly number[], nearMs: number): number | undefined {
  if (luma.length !== CELLS) return undefined;
  const threshold = (Math.min(...luma) + Math.max(...luma)) / 2;
  const cells = luma.map((value) => value > threshold);
  const time = number(cells.slice(SYNC.length, SYNC.length + TIME_BITS));
  const check = number(cells.slice(SYNC.length + TIME_BITS, SYNC.length + TIME_BITS + CHECK_BITS));
  const framed = SYNC.every((bit, i) => cells[i] === bit) && END.every((bit, i) => cells[CELLS - END.length + i] === bit);
  if (!framed || check !== checksum(time)) return undefined;
  const span = 2 ** TIME_BITS;
  return time + Math.round((nearMs - time) / span) * span;
}

function bits(value: number, count: number): boolean[] {
  return Array.from({ length: count }, (_, i) => Math.floor(value / 2 ** (count - 1 - i)) % 2 === 1);
}

function number(cells: readonly boolean[]): number {
  return cells.reduce((value, bit) => value * 2 + Number(bit), 0);
}

function checksum(time: number): number {
  return ((time >>> 24) ^ (time >>> 16) ^ (time >>> 8) ^ time ^ 0x5a) & 0xff;
}
