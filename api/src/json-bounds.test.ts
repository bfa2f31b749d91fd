import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { jsonExcess } from './index.ts';

const BOUNDS = { values: 1000, keys: 8, items: 100 };

function countOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return Object.values(value).reduce((sum: number, inner) => sum + countOf(inner), 1);
}

test('a JSON value is within the bounds exactly when all of its parts are', () => {
  const withinParts = (value: unknown): boolean => {
    if (typeof value !== 'object' || value === null) return true;
    const inner = Object.values(value);
    return inner.length <= (Array.isArray(value) ? BOUNDS.items : BOUNDS.keys) && inner.every(withinParts);
  };
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      assert.equal(jsonExcess(value, BOUNDS) === undefined, withinParts(value) && countOf(value) <= BOUNDS.values);
    }),
  );
});

test('depth costs no stack', () => {
  let deep: unknown = 1;
  for (let i = 0; i < 200_000; i++) deep = [deep];
  assert.match(jsonExcess(deep, BOUNDS)!, /more than 1000 values/);
  assert.equal(jsonExcess(deep, { ...BOUNDS, values: 300_000 }), undefined);
});
