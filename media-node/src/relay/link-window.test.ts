import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinkWindow } from './link-window.ts';

const sample = (rttMs: number) => ({ rttMs, jitterMs: 1, lossPercent: rttMs / 10 });

test('what is reported is the mean of the window; what is older does not count', () => {
  const window = new LinkWindow();
  assert.equal(window.add(sample(10), 0, 3_000).rttMs, 10);
  assert.equal(window.add(sample(20), 1_000, 3_000).rttMs, 15);
  assert.equal(window.add(sample(30), 2_000, 3_000).lossPercent, 2);
  assert.deepEqual(window.add(sample(40), 4_000, 3_000), { rttMs: 30, jitterMs: 1, lossPercent: 3 });
});

test('a trunk that came up anew is measured anew', () => {
  const window = new LinkWindow();
  window.add(sample(500), 0, 30_000);
  window.clear();
  assert.equal(window.add(sample(10), 1_000, 30_000).rttMs, 10);
});
