import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realClock } from '@millrace/service';
import { FakeClock } from './fake-clock.ts';

test('timers run in order and at their due time, including those that other timers create', () => {
  const clock = new FakeClock(1_000);
  const seen: [string, number][] = [];
  clock.setTimeout(() => seen.push(['late', clock.now()]), 30);
  clock.setTimeout(() => {
    seen.push(['early', clock.now()]);
    clock.setTimeout(() => seen.push(['nested', clock.now()]), 5);
  }, 10);
  clock.advance(29);
  assert.deepEqual(seen, [['early', 10], ['nested', 15]]); // prettier-ignore
  clock.advance(1);
  assert.deepEqual([seen.at(-1), clock.wall(), clock.pendingTimers], [['late', 30], 1_030, 0]);
});

test('a cleared timer does not run', () => {
  const clock = new FakeClock();
  clock.clearTimeout(clock.setTimeout(() => assert.fail('ran'), 1));
  clock.clearTimeout(undefined);
  clock.advance(10);
});

test('settle runs promise callbacks between timers', async () => {
  const clock = new FakeClock();
  const seen: number[] = [];
  const wait = (ms: number): Promise<void> => new Promise((resolve) => clock.setTimeout(resolve, ms));
  void (async () => {
    for (let i = 0; i < 3; i++) {
      await wait(10);
      seen.push(clock.now());
    }
  })();
  await clock.settle(30);
  assert.deepEqual(seen, [10, 20, 30]);
});

test('the real clock is monotonic and its timers can be cleared', async () => {
  const before = realClock.now();
  realClock.clearTimeout(realClock.setTimeout(() => assert.fail('ran'), 1));
  await new Promise<void>((resolve) => realClock.setTimeout(resolve, 3));
  assert.ok(realClock.now() > before);
  assert.ok(Math.abs(realClock.wall() - Date.now()) < 1_000);
});
