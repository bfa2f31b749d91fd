import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '@millrace/api';
import { FakeClock } from '@millrace/testkit';
import { PolicyCache } from './policy-cache.ts';

function setUp() {
  const clock = new FakeClock();
  const asked: string[] = [];
  const cache = new PolicyCache({
    here: (stream) => (stream === 'live/here' ? DEFAULT_POLICY : undefined),
    ask: (stream) => {
      asked.push(stream);
      return stream === 'live/away' ? Promise.reject(new Error('control is away')) : Promise.resolve(DEFAULT_POLICY);
    },
    clock,
  });
  return { clock, asked, cache };
}

test('one question for each stream and 5 s, however many ask; none for what is known here; a failure is not remembered', async () => {
  const { clock, asked, cache } = setUp();
  await Promise.all(Array.from({ length: 1000 }, (_, n) => cache.of(n % 2 === 0 ? 'live/a' : 'live/here')));
  assert.deepEqual(asked, ['live/a']);
  clock.advance(5000);
  assert.equal(await cache.of('live/a'), DEFAULT_POLICY);
  assert.equal(asked.length, 2);
  for (let n = 0; n < 2; n++) await assert.rejects(cache.of('live/away'), /away/);
  assert.equal(asked.length, 4);
});

test('clients that make up names ask 50 questions a second, and hear when to try again', async () => {
  const { clock, asked, cache } = setUp();
  for (let second = 0; second < 10; second++) {
    const answers = await Promise.allSettled(Array.from({ length: 1000 }, (_, n) => cache.of(`live/${second}-${n}`)));
    const refused = answers.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
    assert.match(String((refused.reason as { detail: string }).detail), /try again, or send a token/);
    clock.advance(1000);
  }
  assert.ok(asked.length <= 550, `${asked.length} questions`);
  assert.equal(await cache.of('live/0-0'), DEFAULT_POLICY);
});
