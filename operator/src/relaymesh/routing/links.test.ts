import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LinkReport } from './links.ts';
import { judgeLinks } from './links.ts';

function report(from: string, to: string, extra: Partial<LinkReport> = {}): LinkReport {
  return { from, to, state: 'Up', rttMs: 10, jitterMs: 1, lossPercent: 0, fresh: true, ...extra };
}

test('both ends together make one link: the mean RTT, the worse loss', () => {
  const links = judgeLinks([report('b', 'a', { rttMs: 12, lossPercent: 3 }), report('a', 'b', { lossPercent: 1 })]);
  assert.deepEqual(links, [{ a: 'a', b: 'b', state: 'Up', rttMs: 11, jitterMs: 1, lossPercent: 3 }]);
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
