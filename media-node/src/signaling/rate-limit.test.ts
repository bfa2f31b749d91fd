import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, Problem } from '@millrace/service';
import { RateLimit } from './rate-limit.ts';

test('an address gets its burst, then its rate; others are not affected', () => {
  const clock = new FakeClock();
  const limit = new RateLimit({ perSecond: 2, burst: 3, clock });
  const refused = (address: string): boolean => {
    try {
      limit.take(address);
      return false;
    } catch (error) {
      assert.ok(error instanceof Problem && error.status === 429 && error.headers['retry-after'] === '1');
      return true;
    }
  };
  assert.deepEqual([refused('a'), refused('a'), refused('a'), refused('a')], [false, false, false, true]);
  assert.equal(refused('b'), false);
  clock.advance(500);
  assert.deepEqual([refused('a'), refused('a')], [false, true]);
});
