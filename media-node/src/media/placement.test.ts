import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseCpuList, planPinning } from './affinity.ts';
import { coreOf, viewerCore } from './placement.ts';

describe('cores', () => {
  test('equal keys share a core, and keys spread over all of them', () => {
    const keys = Array.from({ length: 2000 }, (_, index) => `user-${index}`);
    const counts = [0, 0, 0, 0];
    for (const key of keys) {
      assert.equal(coreOf(key, 4), coreOf(key, 4));
      counts[coreOf(key, 4)]!++;
    }
    for (const count of counts) assert.ok(count > 400 && count < 600, counts.join());
  });

  test('a stream’s viewers fill its own core, then the next, then the least loaded', () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.nat(10), { minLength: 1, maxLength: 8 }), (stream, viewers) => {
        const core = viewerCore(stream, viewers, 5);
        const own = coreOf(stream, viewers.length);
        if (viewers[own]! < 5) assert.equal(core, own);
        else if (viewers.some((count) => count < 5)) assert.ok(viewers[core]! < 5);
        else assert.equal(viewers[core], Math.min(...viewers));
      }),
    );
  });

  test('workers get the last CPUs of the cpuset, and are not pinned when they would share', () => {
    assert.deepEqual(parseCpuList('0-3,8\n'), [0, 1, 2, 3, 8]);
    assert.deepEqual(planPinning([0, 1, 2, 3, 8], 2), [3, 8]);
    assert.equal(planPinning([0], 1), undefined);
    assert.throws(() => parseCpuList('all'), /not a cpu list: "all"/);
  });
});
