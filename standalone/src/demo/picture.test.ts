import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CELLS, STRIP, timeOf } from '@millrace/console/latency-code';
import { clockBoxes, createPicture, paint, paintClock } from './picture.ts';

test('the time painted into a picture can be read from its pixels', () => {
  const picture = createPicture(640, 360);
  for (const wallMs of [1_800_000_000_123, 1_800_000_033_456]) {
    paint(picture, wallMs);
    const y = Math.round((STRIP.top + STRIP.height / 2) * picture.height);
    const luma = Array.from({ length: CELLS }, (_, i) => {
      const x = Math.round((STRIP.left + ((i + 0.5) / CELLS) * STRIP.width) * picture.width);
      return picture.bytes[y * picture.width + x] as number;
    });
    assert.equal(timeOf(luma, wallMs), wallMs);
  }
});

test('two frames a moment apart differ', () => {
  const [a, b] = [createPicture(320, 180), createPicture(320, 180)];
  paint(a, 1_800_000_000_000);
  paint(b, 1_800_000_000_033);
  assert.notDeepEqual(a.bytes, b.bytes);
});

test('the clock is painted within its boxes, so that cutting them out takes exactly the clock', () => {
  const picture = createPicture(640, 360);
  paintClock(picture, 1_800_000_008_888);
  const boxes = clockBoxes(640, 360);
  const isInside = (x: number, y: number) =>
    boxes.some((box) => x >= box.x && x < box.x + box.width && y >= box.y && y < box.y + box.height);
  for (let y = 0; y < picture.height; y++)
    for (let x = 0; x < picture.width; x++)
      assert.equal(picture.bytes[y * picture.width + x] !== 128, isInside(x, y), `pixel ${x},${y}`);
});
