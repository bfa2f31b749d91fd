import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Multimap } from './multimap.ts';

test('a multimap behaves like a set of key-value pairs and keeps no empty keys', () => {
  const step = fc.record({ remove: fc.boolean(), key: fc.nat(4), value: fc.nat(4) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const map = new Multimap<number, number>();
      const pairs = new Set<string>();
      for (const { remove, key, value } of steps) {
        if (remove) map.delete(key, value);
        else map.add(key, value);
        if (remove) pairs.delete(`${key} ${value}`);
        else pairs.add(`${key} ${value}`);
      }
      const held = [0, 1, 2, 3, 4].flatMap((key) => [...map.get(key)].map((value) => `${key} ${value}`));
      assert.deepEqual(new Set(held), pairs);
      assert.equal(map.size, new Set([...pairs].map((pair) => pair[0])).size);
      for (const pair of pairs) assert.ok(map.has(Number(pair[0]), Number(pair[2])));
    }),
  );
});
