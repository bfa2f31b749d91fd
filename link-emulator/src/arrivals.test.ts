import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Arrivals } from './arrivals.ts';

test('datagrams arrive in order of time, and in order of sending when the time is equal', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20)), fc.nat(20), (times, untilMs) => {
      const arrivals = new Arrivals<number>();
      times.forEach((atMs, i) => arrivals.add(atMs, i));
      const taken: number[] = [];
      for (let next = arrivals.take(untilMs); next; next = arrivals.take(untilMs)) taken.push(next.what);
      const expected = times.map((atMs, i) => ({ atMs, i })).filter(({ atMs }) => atMs <= untilMs);
      expected.sort((a, b) => a.atMs - b.atMs || a.i - b.i);
      assert.deepEqual(
        taken,
        expected.map(({ i }) => i),
      );
      assert.equal(arrivals.size, times.length - taken.length);
      assert.equal(arrivals.nextMs, Math.min(...times.filter((atMs) => atMs > untilMs)));
    }),
  );
});
