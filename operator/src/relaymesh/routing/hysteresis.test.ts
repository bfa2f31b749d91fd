import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Challenge } from './hysteresis.ts';
import { choosePath, EVALUATION_WINDOW_MS } from './hysteresis.ts';
import type { Path } from './paths.ts';

const rule = { improvementPercent: 15, windows: 3, dwellMs: 10_000 };
const path = (name: string, costMs: number): Path => ({ hops: ['c-1', name, 'a-1'], costMs, rttMs: costMs, lossPercent: 0 });

/** Evaluates once per window. Returns the window in which the route left `b-1`, or undefined. */
function windowsUntilSwitch(costs: { current: number; best: number }[], since = -1e9): number | undefined {
  let challenge: Challenge | undefined;
  for (const [i, cost] of costs.entries()) {
    const choice = choosePath(
      path('b-1', cost.current),
      since,
      path('b-2', cost.best),
      challenge,
      rule,
      i * EVALUATION_WINDOW_MS,
    );
    if (choice.path.hops[1] === 'b-2') return i + 1;
    challenge = choice.challenge;
  }
  return undefined;
}

const better = { current: 100, best: 80 };
const alike = { current: 100, best: 90 };

test('a clearly better path is taken after it was better in three windows in a row', () => {
  assert.equal(windowsUntilSwitch([better, better, better]), 3);
});

test('a slightly better path is never taken', () => {
  assert.equal(windowsUntilSwitch(Array.from({ length: 50 }, () => alike)), undefined);
});

test('between two good paths the noise decides nothing', () => {
  assert.equal(windowsUntilSwitch(Array.from({ length: 50 }, () => ({ current: 3, best: 1.5 }))), undefined);
});

test('a window without improvement starts the count anew', () => {
  assert.equal(windowsUntilSwitch([better, better, alike, better, better, better]), 6);
});

test('a route that was just chosen dwells', () => {
  assert.equal(windowsUntilSwitch([better, better, better, better], 0), 3);
  assert.equal(windowsUntilSwitch([better, better, better, better], EVALUATION_WINDOW_MS), 4);
});

test('many evaluations within one window count as one', () => {
  let challenge: Challenge | undefined;
  for (let now = 0; now < EVALUATION_WINDOW_MS; now += 100) {
    challenge = choosePath(path('b-1', 100), -1e9, path('b-2', 50), challenge, rule, now).challenge;
  }
  assert.equal(challenge?.windows, 1);
});

test('a broken route is replaced at once', () => {
  const choice = choosePath(undefined, 0, path('b-2', 500), undefined, rule, 1);
  assert.deepEqual(choice.path.hops, ['c-1', 'b-2', 'a-1']);
  assert.equal(choice.since, 1);
});
