import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compileCrd, type JsonObject } from '../../validation/index.ts';
import { manifestOf, manifestTables } from './index.ts';

for (const { crd, right, wrong } of manifestTables()) {
  const compiled = compileCrd(crd);
  const defaulted = (object: JsonObject): JsonObject => {
    compiled.applyDefaults(object);
    return object;
  };
  describe(crd.spec.names.kind, () => {
    test('has a table of at least 10 right and 15 wrong manifests', () => {
      assert.ok(right.length >= 10 && wrong.length >= 15, `${right.length} right, ${wrong.length} wrong`);
    });
    for (const given of right)
      test(`takes ${given.name}`, () => {
        const old = given.old && defaulted(manifestOf(crd, given, 'old'));
        const object = defaulted(manifestOf(crd, given));
        assert.deepEqual(compiled.prune(object), [], 'unknown fields');
        assert.deepEqual(compiled.validate(object, old), []);
      });
    for (const given of wrong)
      test(`refuses ${given.name}`, () => {
        const old = given.old && defaulted(manifestOf(crd, given, 'old'));
        const errors = compiled.validate(defaulted(manifestOf(crd, given)), old);
        const { field, reason, message = '' } = given;
        const named = (path: string): string => (path === '<nil>' ? '' : path);
        const found = errors.some((one) => named(one.field) === field && one.reason === reason && one.message.includes(message));
        assert.ok(found, `wanted ${reason} at ${field}, got ${JSON.stringify(errors)}`);
      });
  });
}
