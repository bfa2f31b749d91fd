import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Report } from '@millrace/api';
import { judgeReadiness, problemsOf } from './readiness.ts';

const settings = { version: 1 } as never;
const CORES = { alive: 2, failing: [] };
const ADDRESSES = { current: ['192.0.2.1'], problems: [] };

test('a node without problems reports none', () => {
  const ready = judgeReadiness({ channel: { settings, state: 'connected' }, cores: CORES, addresses: ADDRESSES, workers: 2 });
  assert.deepEqual([ready.ok, problemsOf(ready)], [true, []]);
});

test('a name that does not resolve is reported, while the other addresses serve', () => {
  const problems = ['the announced name edge.example does not resolve (ENOTFOUND)'];
  const addresses = { ...ADDRESSES, problems };
  const ready = judgeReadiness({ channel: { settings, state: 'connected' }, cores: CORES, addresses, workers: 2 });
  assert.deepEqual([ready.ok, problemsOf(ready)], [true, problems]);
});

test('whatever the reasons are, control can read the report', () => {
  const reasons = Array.from({ length: 40 }, () => `line\none\u2028\u0000${'x'.repeat(2000)}`);
  assert.ok(Report.shape.problems.safeParse(problemsOf({ ok: false, reasons })).success);
});
