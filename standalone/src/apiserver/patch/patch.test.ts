import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JsonObject } from '@millrace/api/validation';
import fc from 'fast-check';
import { builtinSchema } from '../builtin/schemas.ts';
import { StatusError } from '../status.ts';
import { applyJsonPatch } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { strategicMerge } from './strategic-merge.ts';

const podSchema = builtinSchema('V1Pod');
const containers = (...list: JsonObject[]): JsonObject => ({ spec: { containers: list } });

describe('strategic merge patch', () => {
  test('merges containers by name and env below them', () => {
    const live = containers({ name: 'a', image: '1', env: [{ name: 'X', value: '1' }] }, { name: 'b', image: '1' });
    const patch = containers({ name: 'a', env: [{ name: 'Y', value: '2' }] });
    assert.deepEqual(strategicMerge(live, patch, podSchema), {
      spec: {
        containers: [
          {
            name: 'a',
            image: '1',
            env: [
              { name: 'X', value: '1' },
              { name: 'Y', value: '2' },
            ],
          },
          { name: 'b', image: '1' },
        ],
      },
    });
  });
  test('$patch: delete removes an item, $setElementOrder orders the remaining ones', () => {
    const live = containers({ name: 'a' }, { name: 'b' }, { name: 'c' });
    const patch: JsonObject = {
      spec: { '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }], containers: [{ name: 'b', $patch: 'delete' }] },
    };
    assert.deepEqual(strategicMerge(live, patch, podSchema), containers({ name: 'c' }, { name: 'a' }));
  });
  test('sets grow by patch and shrink by $deleteFromPrimitiveList', () => {
    const live: JsonObject = { metadata: { finalizers: ['a', 'b'] } };
    assert.deepEqual(strategicMerge(live, { metadata: { finalizers: ['c', 'a'] } }, podSchema), {
      metadata: { finalizers: ['a', 'b', 'c'] },
    });
    assert.deepEqual(strategicMerge(live, { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } }, podSchema), {
      metadata: { finalizers: ['b'] },
    });
  });
  test('$retainKeys clears the other members of a union, lists without a key are replaced', () => {
    const live: JsonObject = { spec: { volumes: [{ name: 'v', emptyDir: {} }], tolerations: [{ key: 'a' }] } };
    const patch: JsonObject = {
      spec: {
        volumes: [{ name: 'v', $retainKeys: ['name', 'secret'], secret: { secretName: 's' } }],
        tolerations: [{ key: 'b' }],
      },
    };
    assert.deepEqual(strategicMerge(live, patch, podSchema), {
      spec: { volumes: [{ name: 'v', secret: { secretName: 's' } }], tolerations: [{ key: 'b' }] },
    });
  });
});

describe('merge patch', () => {
  test('a patch of itself changes nothing; nulls remove (RFC 7386)', () => {
    const object = fc.dictionary(
      fc.string({ maxLength: 5 }).filter((key) => key !== '__proto__'),
      fc.oneof(fc.integer(), fc.string(), fc.array(fc.integer())),
    );
    fc.assert(fc.property(object, (value) => assert.deepEqual(applyMergePatch(value, value), { ...value })));
    fc.assert(
      fc.property(object, (value) => {
        const nulls = Object.fromEntries(Object.keys(value).map((key) => [key, null]));
        assert.deepEqual(applyMergePatch(value, nulls), {});
      }),
    );
  });
});

describe('JSON patch', () => {
  test('any input either applies or is refused with a Status', () => {
    const pointer = fc.oneof(fc.constantFrom('', '/a', '/a/0', '/a/-', '/b/c', '/__proto__/x'), fc.string({ maxLength: 8 }));
    const operation = fc.record(
      {
        op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'nope'),
        path: pointer,
        from: pointer,
        value: fc.jsonValue(),
      },
      { requiredKeys: ['op'] },
    );
    fc.assert(
      fc.property(fc.oneof(fc.array(operation, { maxLength: 6 }), fc.jsonValue()), (patch) => {
        try {
          applyJsonPatch({ a: [1, 2], b: { c: 3 } }, patch);
        } catch (error) {
          assert.ok(error instanceof StatusError, String(error));
        }
        assert.equal(({} as Record<string, unknown>)['x'], undefined);
      }),
    );
  });
});
