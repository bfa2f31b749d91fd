import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@millrace/testkit';
import { CoalescedTimer } from './timer.ts';

function coalescedTimer(minIntervalMs = 5) {
  const clock = new FakeClock();
  const start = clock.now();
  const firedAt: number[] = [];
  return { clock, firedAt, timer: new CoalescedTimer(clock, minIntervalMs, () => firedAt.push(clock.now() - start)), start };
}

test('a timer fires once, at the earliest requested deadline', () => {
  const { clock, firedAt, timer, start } = coalescedTimer();
  for (const ms of [50, 20, 30]) timer.armBy(start + ms);
  clock.advance(100);
  assert.deepEqual(firedAt, [20]);
});

test('a timer without a deadline never fires', () => {
  const { clock, firedAt, timer } = coalescedTimer();
  timer.armBy(Infinity);
  clock.advance(10_000);
  assert.deepEqual(firedAt, []);
});

test('a deadline in the past fires at once, but not before the minimum interval since the last call', () => {
  const { clock, firedAt, timer, start } = coalescedTimer(5);
  timer.armBy(start - 10);
  clock.advance(1);
  timer.armBy(start);
  timer.armBy(start + 1);
  clock.advance(20);
  assert.deepEqual(firedAt, [0, 5]);
});

test('a stopped timer does not fire', () => {
  const { clock, firedAt, timer, start } = coalescedTimer();
  timer.armBy(start + 5);
  timer.stop();
  timer.armBy(start + 6);
  clock.advance(100);
  assert.deepEqual(firedAt, []);
});
