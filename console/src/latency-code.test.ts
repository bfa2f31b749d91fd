import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CELLS, cellsOf, timeOf } from './latency-code.ts';

const now = Date.UTC(2026, 10, 21);

test('a stamp is read back to the ms, even from a dim picture', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -1e9, max: 1e9 }),
      fc.integer({ min: 0, max: 60 }),
      fc.integer({ min: 120, max: 255 }),
      (offset, black, white) => {
        const luma = cellsOf(now + offset).map((bit) => (bit ? white : black));
        assert.equal(timeOf(luma, now), now + offset);
      },
    ),
  );
});

test('a picture without a stamp has no time', () => {
  assert.equal(timeOf(new Array<number>(CELLS).fill(128), now), undefined);
  assert.equal(timeOf([], now), undefined);
});

test('one misread cell of the time is detected', () => {
  const cells = cellsOf(now);
  for (let i = 0; i < CELLS; i++) {
    const luma = cells.map((bit, j) => (bit !== (i === j) ? 255 : 0));
    assert.equal(timeOf(luma, now), undefined, `cell ${i}`);
  }
});
