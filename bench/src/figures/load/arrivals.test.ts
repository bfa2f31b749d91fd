import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Arrivals } from './arrivals.ts';

test('due packets are counted across the wrap of the sequence numbers, in any order', () => {
  const arrivals = new Arrivals();
  for (const sequence of [65_533, 65_535, 65_534, 1, 2]) arrivals.packet(sequence, 0);
  assert.deepEqual(arrivals.account(), { due: 6, arrived: 5, freezes: 0, longestGapMs: 0 });
});

test('a pause of 200 ms is a freeze, a shorter one is only a gap', () => {
  const arrivals = new Arrivals();
  [0, 30, 220, 420, 450].forEach((atMs, i) => arrivals.packet(i, atMs));
  assert.deepEqual(arrivals.account(), { due: 5, arrived: 5, freezes: 1, longestGapMs: 200 });
});

test('a viewer that received no packet has no due packets', () => {
  assert.equal(new Arrivals().isSilentSince(1), true);
  assert.equal(new Arrivals().account().due, 0);
});
