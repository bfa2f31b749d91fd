import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@millrace/testkit';
import { directoryContract } from './contract.ts';
import { nextEpoch } from './directory.ts';
import { MemoryDirectory } from './memory.ts';

directoryContract('the directory in memory', () => {
  const clock = new FakeClock();
  const directory = new MemoryDirectory({ clock });
  return Promise.resolve({
    directory,
    other: directory,
    passLeases: (count) => Promise.resolve(clock.advance(count * 15_000)),
    close: async () => {
      await directory.close();
      assert.equal(clock.pendingTimers, 0);
    },
  });
});

test('an epoch is the wall time, or one above the last where the wall clock stands behind it', () => {
  assert.equal(nextEpoch(1000.7, undefined), 1000);
  assert.equal(nextEpoch(1000, 999), 1000);
  assert.equal(nextEpoch(1000, 1000), 1001);
  assert.equal(nextEpoch(1000, 5000), 5001);
});
