import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LinkReport } from './links.ts';
import { judgeLinks } from './links.ts';

function report(from: string, to: string, extra: Partial<LinkReport> = {}): LinkReport {
  return { from, to, state: 'Up', rttMs: 10, jitterMs: 1, lossPercent: 0, fresh: true, ...extra };
}

test('each direction has the loss that its sender counts and the jitter that its receiver sees; the longer round trip counts', () => {
  const links = judgeLinks([
    report('b', 'a', { rttMs: 12, lossPercent: 30, jitterMs: 2 }),
    report('a', 'b', { lossPercent: 1, jitterMs: 7 }),
  ]);
  const toB = { rttMs: 12, jitterMs: 2, lossPercent: 1 };
  const toA = { rttMs: 12, jitterMs: 7, lossPercent: 30 };
  assert.deepEqual(links, [{ a: 'a', b: 'b', state: 'Up', toB, toA }]);
});

test('a direction that nobody measures is taken to be like the other', () => {
  const [link] = judgeLinks([report('a', 'b', { lossPercent: 4 }), report('b', 'a', { lossPercent: 9, fresh: false })]);
  assert.deepEqual([link?.toB.lossPercent, link?.toA.lossPercent], [4, 4]);
});

test('one fresh end that says down is believed', () => {
  assert.equal(judgeLinks([report('a', 'b', { state: 'Down' }), report('b', 'a')])[0]?.state, 'Down');
});

test('an end without a connection to control cannot bring a link down', () => {
  assert.equal(judgeLinks([report('a', 'b', { state: 'Down', fresh: false }), report('b', 'a')])[0]?.state, 'Up');
});

test('when no end is connected the last known state stays', () => {
  const stale = { fresh: false } as const;
  assert.equal(judgeLinks([report('a', 'b', { ...stale, state: 'Degraded' }), report('b', 'a', stale)])[0]?.state, 'Degraded');
});
