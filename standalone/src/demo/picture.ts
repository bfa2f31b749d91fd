import { STRIP, cellsOf } from '@millrace/console/latency-code';
import { drawText } from './digits.ts';

/** A YUV 4:2:0 picture (ITU-R BT.601, limited range), as FFmpeg takes it in `-f rawvideo -pix_fmt yuv420p`. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly bytes: Buffer;
}

const WHITE = 235;
const BLACK = 16;

export function createPicture(width: number, height: number): Picture {
  return { width, height, bytes: Buffer.alloc((width * height * 3) / 2, 128) };
}

/**
 * Paints one frame: a slowly turning gradient, a bouncing ball (which makes a stutter visible), the time in digits,
 * and the same time as cells that a page can read.
 */
export function paint(picture: Picture, wallMs: number): void {
  paintGround(picture, wallMs);
  paintBall(picture, wallMs);
  paintClock(picture, wallMs);
}

/** A rectangle of a picture, in pixels. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Where the clock is painted, cells and digits: the part that is cut out and laid over a user's clip. Even numbers, as 4:2:0 requires. */
export function clockBoxes(width: number, height: number): readonly [cells: Box, digits: Box] {
  const even = (value: number) => 2 * Math.round(value / 2);
  const margin = (STRIP.width * width) / cellsOf(0).length;
  const x = even(STRIP.left * width - margin);
  const y = even(STRIP.top * height - 2);
  const cells = { x, y, width: even(STRIP.width * width + 2 * margin), height: even(STRIP.height * height + 6) };
  const scale = digitScale(width);
  const digits = {
    x,
    y: y + cells.height,
    width: even(timeText(0).length * 4 * scale + 2 * margin),
    height: even(5 * scale + 8),
  };
  return [cells, digits];
}

const digitScale = (width: number) => Math.max(2, Math.floor(width / 160));

/** Only the clock, on black. */
export function paintClock(picture: Picture, wallMs: number): void {
  const { width, height } = picture;
  const cells = cellsOf(wallMs);
  const cell = (STRIP.width * width) / cells.length;
  const top = STRIP.top * height;
  for (const box of clockBoxes(width, height)) fill(picture, box.x, box.y, box.width, box.height, BLACK);
  cells.forEach((isWhite, i) =>
    fill(picture, STRIP.left * width + i * cell, top, cell, STRIP.height * height, isWhite ? WHITE : BLACK),
  );
  drawText(timeText(wallMs), digitScale(width), (x, y, size) =>
    fill(picture, STRIP.left * width + x, top + STRIP.height * height + 6 + y, size, size, WHITE),
  );
}

function timeText(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(11, 23);
}

/** A repeated ramp of luma: each row of the background is a part of it, shifted. */
const RAMP_PERIOD = 512;
let ramp = Buffer.alloc(0);

function rampOf(length: number): Buffer {
  if (ramp.length < length) ramp = Buffer.from(Array.from({ length }, (_, i) => 40 + ((i >> 2) & 0x7f)));
  return ramp;
}

function paintGround({ width, height, bytes }: Picture, wallMs: number): void {
  const source = rampOf(width + RAMP_PERIOD);
  const shift = Math.floor(wallMs / 40);
  for (let y = 0; y < height; y++) {
    const start = (((y >> 1) + shift) * 4) % RAMP_PERIOD;
    source.copy(bytes, y * width, start, start + width);
  }
  const luma = width * height;
  const chroma = luma / 4;
  bytes.fill(128 + 40 * Math.sin(wallMs / 3_000), luma, luma + chroma);
  bytes.fill(128 + 40 * Math.cos(wallMs / 3_000), luma + chroma, luma + 2 * chroma);
}

function paintBall(picture: Picture, wallMs: number): void {
  const { width, height } = picture;
  const radius = height / 12;
  const bounce = (span: number, periodMs: number) => Math.abs(((((wallMs / periodMs) % 2) + 2) % 2) - 1) * span;
  const cx = radius + bounce(width - 2 * radius, 2_300);
  const cy = height * 0.4 + bounce(height * 0.6 - 2 * radius, 1_700) + radius;
  for (let dy = -radius; dy <= radius; dy++) {
    const half = Math.sqrt(radius * radius - dy * dy);
    fill(picture, cx - half, cy + dy, 2 * half, 1, WHITE);
  }
}

/** Sets the luma of a rectangle, clipped to the picture. */
function fill({ width, height, bytes }: Picture, x: number, y: number, w: number, h: number, luma: number): void {
  const left = Math.max(0, Math.round(x));
  const right = Math.min(width, Math.round(x + w));
  const bottom = Math.min(height, Math.round(y + h));
  for (let row = Math.max(0, Math.round(y)); row < bottom && left < right; row++)
    bytes.fill(luma, row * width + left, row * width + right);
}
