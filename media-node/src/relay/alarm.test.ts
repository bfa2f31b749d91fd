import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@millrace/testkit';
import { Alarm } from './alarm.ts';

function alarm(restMs = 5) {
  const clock = new FakeClock();
  const start = clock.now();
  const rang: number[] = [];
  return { clock, rang, alarm: new Alarm(clock, restMs, () => rang.push(clock.now() - start)), start };
}

test('an alarm rings once, at the earliest of the times asked for', () => {
  const { clock, rang, alarm: it, start } = alarm();
  for (const ms of [50, 20, 30]) it.by(start + ms);
  clock.advance(100);
  assert.deepEqual(rang, [20]);
});

test('an alarm that nobody asked never rings', () => {
  const { clock, rang, alarm: it } = alarm();
  it.by(Infinity);
  clock.advance(10_000);
  assert.deepEqual(rang, []);
});

test('a time that has passed is met at once, but no sooner than the rest after the last ring', () => {
  const { clock, rang, alarm: it, start } = alarm(5);
  it.by(start - 10);
  clock.advance(1);
  it.by(start);
  it.by(start + 1);
  clock.advance(20);
  assert.deepEqual(rang, [0, 5]);
});

test('a stopped alarm stays silent', () => {
  const { clock, rang, alarm: it, start } = alarm();
  it.by(start + 5);
  it.stop();
  it.by(start + 6);
  clock.advance(100);
  assert.deepEqual(rang, []);
});
