import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compileCrd, formatFieldError } from './index.ts';
import type { JsonObject, Schema } from './index.ts';

const compile = (spec: Schema) =>
  compileCrd({
    spec: {
      group: 'test.dev',
      scope: 'Namespaced',
      names: { kind: 'Thing', plural: 'things' },
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', properties: { spec } } } },
      ],
    },
  });
const errors = (schema: Schema, spec: JsonObject, old?: JsonObject) =>
  compile({ type: 'object', ...schema })
    .validate({ spec }, old && { spec: old })
    .map(formatFieldError);

describe('compiled CRD', () => {
  test('messages are those of kube-apiserver', () => {
    const properties: Record<string, Schema> = {
      n: { type: 'integer', minimum: 1, maximum: 5 },
      s: { type: 'string', pattern: '^[a-z]+$', maxLength: 3 },
      e: { type: 'string', enum: ['A', 'B'] },
      l: { type: 'array', 'x-kubernetes-list-type': 'set', maxItems: 2, items: { type: 'string' } },
    };
    const table: [JsonObject, string][] = [
      [{ n: 6 }, 'spec.n: Invalid value: 6: spec.n in body should be less than or equal to 5'],
      [{ n: 'x' }, 'spec.n: Invalid value: "string": spec.n in body must be of type integer: "string"'],
      [{ s: 'A' }, 'spec.s: Invalid value: "A": spec.s in body should match \'^[a-z]+$\''],
      [{ s: 'abcd' }, 'spec.s: Too long: may not be more than 3 bytes'],
      [{ e: 'C' }, 'spec.e: Unsupported value: "C": supported values: "A", "B"'],
      [{ l: ['a', 'a'] }, 'spec.l[1]: Duplicate value: "a"'],
      [{ l: ['a', 'b', 'c'] }, 'spec.l: Too many: 3: must have at most 2 items'],
      [{}, 'spec.must: Required value'],
    ];
    for (const [spec, expected] of table) {
      const required = expected.includes('Required') ? ['must'] : [];
      assert.deepEqual(errors({ properties, required }, spec), [expected]);
    }
  });
  test('integers are ints and numbers doubles in rules', () => {
    const properties: Record<string, Schema> = { i: { type: 'integer' }, d: { type: 'number' } };
    const rules: Schema = {
      properties,
      'x-kubernetes-validations': [{ rule: 'self.i + 1 == 3 && self.d * 2.0 == 4.0', message: 'no' }],
    };
    assert.deepEqual(errors(rules, { i: 2, d: 2 }), []);
    assert.deepEqual(errors(rules, { i: 3, d: 2 }), ['spec: Invalid value: "object": no']);
  });
  test('oldSelf rules follow the items of keyed lists', () => {
    const items: Schema = {
      type: 'object',
      properties: {
        k: { type: 'string' },
        v: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self >= oldSelf', message: 'must grow' }] },
      },
    };
    const list: Schema = { type: 'array', items, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k'] };
    const before = {
      list: [
        { k: 'a', v: 5 },
        { k: 'b', v: 1 },
      ],
    };
    const after = {
      list: [
        { k: 'c', v: 0 },
        { k: 'b', v: 2 },
        { k: 'a', v: 4 },
      ],
    };
    assert.deepEqual(errors({ properties: { list } }, after, before), ['spec.list[2].v: Invalid value: 4: must grow']);
  });
  test('what did not change is not judged again', () => {
    const schema: Schema = { properties: { n: { type: 'integer', maximum: 5 }, m: { type: 'integer' } } };
    assert.deepEqual(errors(schema, { n: 9, m: 2 }, { n: 9, m: 1 }), []);
  });
  test('defaults fill in, unknown fields go', () => {
    const thing = compile({
      type: 'object',
      properties: { a: { type: 'object', default: {}, properties: { b: { type: 'integer', default: 3 } } } },
    });
    const object: JsonObject = { spec: { other: 1 } };
    assert.deepEqual(thing.prune(object), ['spec.other']);
    thing.applyDefaults(object);
    assert.deepEqual(object, { spec: { a: { b: 3 } } });
  });
  test('a rule that does not compile names its place', () => {
    assert.throws(
      () => compile({ type: 'object', 'x-kubernetes-validations': [{ rule: 'nope(self)' }] }),
      /spec.x-kubernetes-validations\[0\].rule: compilation failed/,
    );
  });
});
