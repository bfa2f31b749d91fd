import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RestartBackoff } from './restart-backoff.ts';

const MINUTE_MS = 60_000;

test('a single death costs no wait, also again after a long life', () => {
  const backoff = new RestartBackoff();
  backoff.started(0);
  assert.equal(backoff.ended(100), 0);
  backoff.started(150);
  assert.equal(backoff.ended(150 + MINUTE_MS), 0);
  assert.equal(backoff.isFailing(150 + MINUTE_MS), false);
});

test('workers that die young one after the other wait ever longer, up to 15 s', () => {
  const backoff = new RestartBackoff();
  let nowMs = 0;
  const delays = Array.from({ length: 10 }, () => {
    backoff.started(nowMs);
    const delayMs = backoff.ended((nowMs += 10));
    nowMs += delayMs;
    return delayMs;
  });
  assert.deepEqual(delays, [0, 250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
});

test('one that cannot even start counts as a short life', () => {
  const backoff = new RestartBackoff();
  backoff.started(0);
  backoff.ended(10);
  assert.deepEqual([backoff.ended(20), backoff.ended(300)], [250, 500]);
});

test('the third short life in a row is a failure, until a worker has lived for a minute', () => {
  const backoff = new RestartBackoff();
  for (const at of [0, 1000, 2000]) {
    assert.equal(backoff.isFailing(at), false);
    backoff.started(at);
    backoff.ended(at + 10);
  }
  assert.equal(backoff.isFailing(2500), true);
  backoff.started(3000);
  assert.equal(backoff.isFailing(3000 + MINUTE_MS - 1), true);
  assert.equal(backoff.isFailing(3000 + MINUTE_MS), false);
});
