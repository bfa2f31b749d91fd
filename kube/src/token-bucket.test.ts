import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '@millrace/testkit';
import { TokenBucket } from './token-bucket.ts';

describe('token bucket', () => {
  test('admits the burst at once, then the sustained rate, in order', async () => {
    const clock = new FakeClock();
    const bucket = new TokenBucket({ clock, qps: 10, burst: 2 });
    const served: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) void bucket.take().then(() => served.push(`${name}@${clock.now()}`));
    await clock.settle(1_000);
    assert.deepEqual(served, ['a@0', 'b@0', 'c@100', 'd@200']);
    assert.equal(clock.pendingTimers, 0);
  });

  test('accumulates no more tokens than the burst', async () => {
    const clock = new FakeClock();
    const bucket = new TokenBucket({ clock, qps: 10, burst: 2 });
    await clock.settle(60_000);
    assert.deepEqual([bucket.tryTake(), bucket.tryTake(), bucket.tryTake()], [true, true, false]);
  });

  test('an aborted waiter takes no token', async () => {
    const clock = new FakeClock();
    const bucket = new TokenBucket({ clock, qps: 1, burst: 1 });
    await bucket.take();
    const stop = new AbortController();
    const first = bucket.take(stop.signal);
    let secondAt = -1;
    void bucket.take().then(() => (secondAt = clock.now()));
    stop.abort(new Error('enough'));
    await assert.rejects(first, /enough/);
    await clock.settle(3_000);
    assert.equal(secondAt, 1_000);
  });
});
