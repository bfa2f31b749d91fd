import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RestartPace } from './restart-pace.ts';

const MINUTE_MS = 60_000;

test('a single death costs no wait, also again after a long life', () => {
  const pace = new RestartPace();
  pace.started(0);
  assert.equal(pace.ended(100), 0);
  pace.started(150);
  assert.equal(pace.ended(150 + MINUTE_MS), 0);
  assert.equal(pace.isFailing(150 + MINUTE_MS), false);
});

test('workers that die young one after the other wait ever longer, up to 15 s', () => {
  const pace = new RestartPace();
  let nowMs = 0;
  const delays = Array.from({ length: 10 }, () => {
    pace.started(nowMs);
    const delayMs = pace.ended((nowMs += 10));
    nowMs += delayMs;
    return delayMs;
  });
  assert.deepEqual(delays, [0, 250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
});

test('one that cannot even start counts as a short life', () => {
  const pace = new RestartPace();
  pace.started(0);
  pace.ended(10);
  assert.deepEqual([pace.ended(20), pace.ended(300)], [250, 500]);
});

test('the third short life in a row is a failure, until a worker has lived for a minute', () => {
  const pace = new RestartPace();
  for (const at of [0, 1000, 2000]) {
    assert.equal(pace.isFailing(at), false);
    pace.started(at);
    pace.ended(at + 10);
  }
  assert.equal(pace.isFailing(2500), true);
  pace.started(3000);
  assert.equal(pace.isFailing(3000 + MINUTE_MS - 1), true);
  assert.equal(pace.isFailing(3000 + MINUTE_MS), false);
});
