import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Rebase } from './rebase.ts';

describe('numbers and timestamps of a viewer', () => {
  test('are those of the origin at first', () => {
    const rebase = new Rebase(90_000);
    rebase.restart(1, 70_000, 5000, 0);
    assert.deepEqual([rebase.seq(70_000), rebase.timestamp(5000, 0)], [70_000 & 0xffff, 5000]);
  });

  test('keep a gap as a gap', () => {
    const rebase = new Rebase(90_000);
    rebase.restart(1, 10, 0, 0);
    assert.deepEqual([rebase.seq(10), rebase.seq(13)], [10, 13]);
  });

  test('go on without a step at a new epoch, as much later as time went by', () => {
    const rebase = new Rebase(90_000);
    rebase.restart(1, 65_535, 0xffff_ff00, 0);
    rebase.seq(65_535);
    rebase.timestamp(0xffff_ff00, 1000);
    rebase.restart(2, 7, 123, 1500);
    assert.equal(rebase.seq(7), 0);
    assert.equal((rebase.timestamp(123, 1500) - 0xffff_ff00) >>> 0, 45_000);
    assert.equal(rebase.seq(8), 1);
  });

  test('keep timestamps where numbers begin anew within an epoch', () => {
    const rebase = new Rebase(90_000);
    rebase.restart(1, 10, 1000, 0);
    rebase.seq(10);
    rebase.timestamp(1000, 0);
    rebase.restart(1, 500, 91_000, 1000);
    assert.deepEqual([rebase.seq(500), rebase.timestamp(91_000, 1000)], [11, 91_000]);
  });

  test('shift sender reports by the same, and only those of the epoch', () => {
    const rebase = new Rebase(48_000);
    rebase.restart(1, 10, 1000, 0);
    rebase.timestamp(1000, 0);
    rebase.seq(10);
    rebase.restart(2, 10, 50, 1000);
    const shift = rebase.timestamp(50, 1000) - 50;
    assert.equal(rebase.reported(80, 2), 80 + shift);
    assert.equal(rebase.reported(80, 1), undefined);
  });

  test('go on behind the latest picture, not behind the one that was sent last', () => {
    const rebase = new Rebase(90_000);
    rebase.restart(1, 1, 0, 0);
    for (const [seq, timestamp] of [
      [1, 0],
      [2, 9000],
      [3, 3000],
    ] as const) {
      rebase.seq(seq);
      rebase.timestamp(timestamp, seq * 10);
    }
    rebase.restart(2, 1, 5, 60);
    assert.equal(rebase.timestamp(5, 60), 9000 + 40 * 90);
  });
});
