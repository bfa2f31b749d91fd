import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { assertLinear } from '@millrace/testkit';
import { jsonExcess, requestJsonExcess } from './index.ts';

const BOUNDS = { values: 60, keys: 4, items: 10, depth: 4 };

const innerOf = (value: unknown): unknown[] | undefined =>
  typeof value === 'object' && value !== null ? Object.values(value) : undefined;
const countOf = (value: unknown): number => (innerOf(value) ?? []).reduce((sum: number, inner) => sum + countOf(inner), 1);
const depthOf = (value: unknown): number =>
  (innerOf(value) ?? []).reduce((most: number, inner) => Math.max(most, 1 + depthOf(inner)), innerOf(value) ? 1 : 0);

test('a JSON text is within the bounds exactly when all of its parts are', () => {
  const withinParts = (value: unknown): boolean => {
    const inner = innerOf(value);
    if (!inner) return true;
    return inner.length <= (Array.isArray(value) ? BOUNDS.items : BOUNDS.keys) && inner.every(withinParts);
  };
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(undefined, 1, '\t', '\r\n'), (value, space) => {
      const isWithin = withinParts(value) && countOf(value) <= BOUNDS.values && depthOf(value) <= BOUNDS.depth;
      assert.equal(jsonExcess(JSON.stringify(value, null, space), BOUNDS) === undefined, isWithin);
    }),
    { numRuns: 2000 },
  );
});

test('what stands in a string is text', () => {
  const texts = ['[[[[[[', ',,,,,,,,,,,,', '"', '\\', '\\"[', '{"a":['];
  for (const text of texts) assert.equal(jsonExcess(JSON.stringify({ [text]: [text, text] }), BOUNDS), undefined, text);
});

test('the refusal says what there is too much of', () => {
  for (const [value, expected] of [
    [{ a: 1, b: 2, c: 3, d: 4, e: 5 }, /an object of more than 4 keys/],
    [{ a: Array.from({ length: 11 }, () => 1) }, /an array of more than 10 items/],
    [[[[[[]]]]], /more than 4 arrays and objects within each other/],
    [Array.from({ length: 8 }, () => Array.from({ length: 9 }, () => 1)), /more than 60 values/],
  ] as const)
    assert.match(jsonExcess(JSON.stringify(value), BOUNDS)!, expected);
});

test('a text that is no JSON is looked through once', () => {
  for (const text of ['', '"', '"\\', ']]]', '}{', ',,,', '[', '{{', '"\\"', 'null', '[,]']) jsonExcess(text, BOUNDS);
  fc.assert(fc.property(fc.string(), (text) => void jsonExcess(text, BOUNDS)));
});

test('the time for it is linear, whatever the text', () => {
  for (const part of ['[', '[]', '{"', '",', '\\"', '\\', ' ', '1,', '"a":1,', '"\\\\"'])
    assertLinear(
      `jsonExcess of ${part}`,
      (length) => `[${part.repeat(length / part.length)}`,
      (text) => jsonExcess(text, { values: 1e9, keys: 1e9, items: 1e9, depth: 1e9 }),
      500_000,
    );
});

test('a request may hold what any request needs', () => {
  assert.equal(
    requestJsonExcess(JSON.stringify({ tracks: Array.from({ length: 16 }, () => ({ parameters: { a: 1 } })) })),
    undefined,
  );
  assert.match(requestJsonExcess('['.repeat(64 * 1024))!, /more than 16 arrays and objects/);
  assert.match(requestJsonExcess(`[${'1,'.repeat(2000)}1]`)!, /more than 2000 values/);
});
