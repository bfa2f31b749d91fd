import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JsonObject, Schema } from '@millrace/api/validation';
import fc from 'fast-check';
import {
  compare,
  difference,
  fieldsOf,
  fromFieldsV1,
  intersection,
  isEmpty,
  pathsOf,
  showPath,
  toFieldsV1,
  union,
} from './field-set.ts';
import { mergeApplied } from './merge.ts';

const schema: Schema = {
  type: 'object',
  properties: {
    n: { type: 'integer' },
    struct: { type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } } },
    map: { type: 'object', additionalProperties: { type: 'string' } },
    keyed: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: { type: 'object', properties: { name: { type: 'string' }, v: { type: 'integer' } } },
    },
    set: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
    atomic: { type: 'array', items: { type: 'string' } },
  },
};
const word = fc.constantFrom('x', 'y', 'z');
const object: fc.Arbitrary<JsonObject> = fc.record(
  {
    n: fc.integer({ min: 0, max: 2 }),
    struct: fc.record({ a: word, b: word }, { requiredKeys: [] }),
    map: fc.dictionary(word, word),
    keyed: fc.uniqueArray(fc.record({ name: word, v: fc.integer({ min: 0, max: 2 }) }, { requiredKeys: ['name'] }), {
      selector: (item) => item.name,
    }),
    set: fc.uniqueArray(word),
    atomic: fc.array(word),
  },
  { requiredKeys: [] },
);

describe('field sets', () => {
  test('FieldsV1 survives a round trip', () => {
    fc.assert(
      fc.property(object, (value) => {
        const fields = toFieldsV1(fieldsOf(value, schema));
        assert.deepEqual(toFieldsV1(fromFieldsV1(fields)), fields);
      }),
    );
  });
  test('difference, intersection and union obey set laws', () => {
    fc.assert(
      fc.property(object, object, (left, right) => {
        const [a, b] = [fieldsOf(left, schema), fieldsOf(right, schema)];
        const paths = (set: typeof a) => [...pathsOf(set)].map(showPath).sort();
        assert.ok(isEmpty(intersection(difference(a, b), b)));
        assert.deepEqual(paths(union(difference(a, b), intersection(a, b))), paths(a));
      }),
    );
  });
  test('an object does not differ from itself, and differs from an empty one in all its fields', () => {
    fc.assert(
      fc.property(object, (value) => {
        const same = compare(value, structuredClone(value), schema);
        assert.ok(isEmpty(same.changed) && isEmpty(same.removed));
        assert.ok(isEmpty(difference(fieldsOf(value, schema), compare(undefined, value, schema).changed)));
      }),
    );
  });
  test('an apply sets every applied field, and applying it again changes nothing', () => {
    fc.assert(
      fc.property(object, object, (live, config) => {
        const merged = mergeApplied(live, config, schema);
        assert.ok(
          isEmpty(intersection(compare(merged, mergeApplied(merged, config, schema), schema).changed, fieldsOf(config, schema))),
        );
        const paths = new Set([...pathsOf(fieldsOf(merged, schema))].map(showPath));
        for (const path of pathsOf(fieldsOf(config, schema))) {
          const isEmptied = path.length > 0 && !paths.has(showPath(path));
          if (isEmptied)
            assert.ok(
              [...paths].some((known) => known.startsWith(showPath(path))),
              showPath(path),
            );
        }
      }),
    );
  });
});
