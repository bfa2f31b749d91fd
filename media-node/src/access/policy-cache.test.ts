import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '@millrace/api';
import type { Clock } from '@millrace/service';
import { PolicyCache } from './policy-cache.ts';

test('one question for each stream and 5 s, however many ask; a failure is not remembered', async () => {
  let nowMs = 0;
  const asked: string[] = [];
  const cache = new PolicyCache(
    (stream) => {
      asked.push(stream);
      return stream === 'live/away' ? Promise.reject(new Error('control is away')) : Promise.resolve(DEFAULT_POLICY);
    },
    { now: () => nowMs } as Clock,
  );
  await Promise.all(Array.from({ length: 100 }, () => cache.of('live/a')));
  assert.deepEqual(asked, ['live/a']);
  nowMs = 5000;
  assert.equal(await cache.of('live/a'), DEFAULT_POLICY);
  assert.equal(asked.length, 2);
  for (let n = 0; n < 2; n++) await assert.rejects(cache.of('live/away'), /away/);
  assert.equal(asked.length, 4);
  for (let n = 0; n < 20_000; n++) void cache.of(`live/${n}`);
  assert.equal(await cache.of('live/19999'), DEFAULT_POLICY);
  assert.equal(asked.length, 4 + 20_000);
});
