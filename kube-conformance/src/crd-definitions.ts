import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { World } from './world.ts';
import { assertRefused, crdsPath, isGone } from './world.ts';

/** "Extend the Kubernetes API with CustomResourceDefinitions": which definitions are valid, and how they are completed. */
export function crdDefinitions(world: World): void {
  const version = (openAPIV3Schema: object, more: object = {}) => ({
    name: 'v1',
    served: true,
    storage: true,
    schema: { openAPIV3Schema },
    ...more,
  });
  const crd = (plural: string, versions: object[], more: object = {}) => ({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.definitions.test` },
    spec: {
      group: 'definitions.test',
      scope: 'Namespaced',
      names: { plural, kind: `${plural[0]?.toUpperCase()}${plural.slice(1)}` },
      versions,
      ...more,
    },
  });
  const dry = (object: object) => world.api.post(`${crdsPath}?dryRun=All`, object);
  const field = (schema: object) => version({ type: 'object', properties: { a: schema } });
  const object = version({ type: 'object' });
  const listOf = (items: object, more: object) => field({ type: 'array', items: { type: 'object', ...items }, ...more });
  const keyed = { 'x-kubernetes-list-type': 'map' };
  const named = { properties: { n: { type: 'string' } } };

  describe('definitions', () => {
    const wrong: [string, object, RegExp][] = [
      ['a root that is not an object', version({ type: 'string' }), /must be object at the root/],
      ['an unknown type', field({ type: 'frob' }), /Unsupported value: "frob"/],
      ['an array without items', field({ type: 'array' }), /items: Required value/],
      ['a reference', field({ $ref: '#/x' }), /\$ref/],
      [
        'unique items',
        field({ type: 'array', uniqueItems: true, items: { type: 'string' } }),
        /uniqueItems cannot be set to true/,
      ],
      ['a default of another type', field({ type: 'integer', default: 'x' }), /properties\[a\]\.default/],
      ['an invalid pattern', field({ type: 'string', pattern: '(' }), /properties\[a\]\.pattern/],
      ['a keyed list without keys', listOf(named, keyed), /x-kubernetes-list-map-keys: Required value/],
      [
        'an optional key of a keyed list',
        listOf(named, { ...keyed, 'x-kubernetes-list-map-keys': ['n'] }),
        /it must have a default or be a required property/,
      ],
      [
        'properties beside additionalProperties',
        field({ type: 'object', properties: { b: { type: 'string' } }, additionalProperties: { type: 'string' } }),
        /mutual exclusive/,
      ],
      [
        'a schema of metadata',
        version({ type: 'object', properties: { metadata: { type: 'object', properties: { labels: { type: 'object' } } } } }),
        /must not specify anything other than name and generateName/,
      ],
      ['a scale without paths', { ...object, subresources: { scale: {} } }, /scale\.specReplicasPath: Required value/],
      [
        'a scale with paths outside of spec and status',
        { ...object, subresources: { scale: { specReplicasPath: '.status.x', statusReplicasPath: '.spec.y' } } },
        /should be a json path under \.spec/,
      ],
      [
        'a column of unknown type',
        { ...object, additionalPrinterColumns: [{ name: 'x', type: 'frob', jsonPath: '.a' }] },
        /additionalPrinterColumns\[0\]\.type/,
      ],
      ['a version with an invalid name', { ...object, name: 'V 1' }, /spec\.versions\[0\]\.name/],
    ];
    for (const [what, versions, message] of wrong)
      test(`with ${what} are refused`, async () => assertRefused(await dry(crd('odds', [versions])), 422, 'Invalid', message));
    test('with an invalid scope, short name or setting are refused', async () => {
      assertRefused(await dry(crd('odds', [object], { scope: 'Galaxy' })), 422, 'Invalid', /spec\.scope/);
      const names = { plural: 'odds', kind: 'Odd', shortNames: ['A b'] };
      assertRefused(await dry(crd('odds', [object], { names })), 422, 'Invalid', /spec\.names\.shortNames\[0\]/);
      assertRefused(await dry(crd('odds', [object], { preserveUnknownFields: true })), 422, 'Invalid', /preserveUnknownFields/);
    });
    test('get defaults for names and conversion', async () => {
      const { body } = await dry(crd('evens', [object]));
      assert.deepEqual(
        [body.spec.names, body.spec.conversion],
        [{ plural: 'evens', singular: 'evens', kind: 'Evens', listKind: 'EvensList' }, { strategy: 'None' }],
      );
    });
    test('cannot drop a version in which objects may be stored; a deprecated version warns, one that is not served is 404', async () => {
      const path = `${crdsPath}/olds.definitions.test`;
      const next = { ...version({ type: 'object' }), name: 'v2', storage: false, deprecated: true };
      const hidden = { ...next, name: 'v3', served: false };
      assert.equal((await world.api.post(crdsPath, crd('olds', [object, next, hidden]))).code, 201);
      const olds = (name: string) => `/apis/definitions.test/${name}/namespaces/${world.namespace}/olds`;
      const { headers } = await world.eventually(olds('v2'), ({ code }) => code === 200);
      assert.match(String(headers['warning']), /definitions\.test\/v2 Olds is deprecated/);
      assert.equal((await world.api.get(olds('v1'))).headers['warning'], undefined);
      assert.equal((await world.api.get(olds('v3'))).code, 404);
      await world.eventually(path, ({ body }) => (body.status?.storedVersions ?? []).length > 0);
      const versions = [{ ...next, storage: true, deprecated: false }];
      const removed = await world.api.mergePatch(path, { spec: { versions } });
      assertRefused(removed, 422, 'Invalid', /storedVersions\[0\].*missing from spec\.versions/);
      await world.api.del(path);
      await world.eventually(path, isGone);
    });
  });
}
