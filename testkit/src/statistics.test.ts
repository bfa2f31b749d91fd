import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { longestGap, median, summarize } from './statistics.ts';

describe('statistics', () => {
  test('the median of an even number of values is the mean of the middle two', () => {
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.equal(median([7]), 7);
  });

  test('a summary has the minimum, median and maximum, whatever the order of the values', () => {
    const values = Array.from({ length: 101 }, (_, i) => (i * 37) % 101);
    assert.deepEqual(summarize(values), { count: 101, min: 0, p50: 50, p99: 99, max: 100 });
  });

  test('an empty list and values that are not numbers are rejected', () => {
    assert.throws(() => summarize([]), RangeError);
    assert.throws(() => summarize([1, NaN]), /value 1 is NaN/);
  });

  test('quantiles lie within the range of the values and increase', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), { minLength: 1 }), (values) => {
        const { min, p50, p99, max } = summarize(values);
        assert.ok(min <= p50 && p50 <= p99 + 1e-6 && p99 <= max + 1e-6, JSON.stringify({ min, p50, p99, max }));
      }),
    );
  });

  test('the longest gap is between two successive events; a single event has none', () => {
    assert.equal(longestGap([0, 10, 50, 55]), 40);
    assert.equal(longestGap([3]), 0);
    assert.equal(longestGap([]), 0);
  });
});
