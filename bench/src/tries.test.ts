import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureLines, tryEach } from './tries.ts';

test('a failed attempt is reported, and the following ones are made', async () => {
  const said: string[] = [];
  const tries = await tryEach(
    4,
    (i) => (i % 2 === 1 ? Promise.reject(new Error(`no frame within ${i} s`)) : Promise.resolve(i)),
    (line) => said.push(line),
  );
  assert.deepEqual(tries, { done: [0, 2], failed: ['no frame within 1 s', 'no frame within 3 s'] });
  assert.deepEqual(said, ['try 2 of 4 failed: no frame within 1 s', 'try 4 of 4 failed: no frame within 3 s']);
});

test('each reason is reported once, with its count', () => {
  assert.deepEqual(failureLines('cold', ['a', 'b', 'a']), ['failed, cold: a (2 times)', 'failed, cold: b']);
});
