import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { World } from './world.ts';
import { assertRefused, configMap, pod, widget } from './world.ts';

/** RFC 6902, RFC 7386, "Update API Objects in Place Using kubectl patch" (strategic merge). */
export function patches(world: World): void {
  const { maps, pods, widgets } = world;
  describe('patches', () => {
    test('a merge patch sets, null removes, lists are replaced', async () => {
      await world.api.post(maps, configMap('merge', { a: '1', b: '2' }));
      const { body } = await world.api.mergePatch(`${maps}/merge`, { data: { a: null, c: '3' } });
      assert.deepEqual(body.data, { b: '2', c: '3' });
      await world.api.post(widgets, widget('merge', { size: 1, tags: ['x', 'y'], limits: { a: '1' } }));
      const custom = await world.api.mergePatch(`${widgets}/merge`, { spec: { tags: ['z'], limits: null } });
      assert.deepEqual([custom.body.spec.tags, custom.body.spec.limits], [['z'], undefined]);
      const defaulted = await world.api.mergePatch(`${widgets}/merge`, { spec: { mode: null } });
      assert.equal(defaulted.body.spec.mode, 'A', 'a removed field with a default gets it again');
    });
    test('a JSON patch is all or nothing; a failed test is 422', async () => {
      await world.api.post(maps, configMap('json', { a: '1' }));
      const failed = await world.api.jsonPatch(`${maps}/json`, [
        { op: 'replace', path: '/data/a', value: '2' },
        { op: 'test', path: '/data/a', value: '9' },
      ]);
      assertRefused(failed, 422, 'Invalid', /the server rejected our request due to an error in our request/);
      assert.equal((await world.api.get(`${maps}/json`)).body.data.a, '1');
      const { body } = await world.api.jsonPatch(`${maps}/json`, [
        { op: 'test', path: '/data/a', value: '1' },
        { op: 'add', path: '/metadata/annotations', value: {} },
        { op: 'add', path: '/metadata/annotations/b~1c', value: '2' },
        { op: 'move', from: '/data/a', path: '/data/d' },
        { op: 'copy', from: '/data/d', path: '/data/e' },
      ]);
      assert.deepEqual([body.data, body.metadata.annotations], [{ d: '1', e: '1' }, { 'b/c': '2' }]);
    });
    test('a JSON patch of an unknown path is 422, an invalid patch 400', async () => {
      await world.api.post(widgets, widget('json-bad', { size: 1, steps: ['a'] }));
      const patch = (...operations: object[]) => world.api.jsonPatch(`${widgets}/json-bad`, operations);
      assertRefused(await patch({ op: 'remove', path: '/spec/none' }), 422, 'Invalid');
      assertRefused(await patch({ op: 'add', path: '/spec/steps/7', value: 'x' }), 422, 'Invalid');
      assertRefused(await world.api.jsonPatch(`${widgets}/json-bad`, { op: 'add' }), 400, 'BadRequest');
      const { body } = await patch(
        { op: 'add', path: '/spec/steps/-', value: 'c' },
        { op: 'add', path: '/spec/steps/1', value: 'b' },
      );
      assert.deepEqual(body.spec.steps, ['a', 'b', 'c']);
    });
    test('a patch of an unknown object is 404; of an unknown type 415; one that is not an object 400', async () => {
      assertRefused(await world.api.mergePatch(`${maps}/none`, { data: {} }), 404, 'NotFound');
      assertRefused(
        await world.api.call('PATCH', `${maps}/none`, { body: {}, type: 'application/json' }),
        415,
        'UnsupportedMediaType',
      );
      await world.api.post(maps, configMap('patch-target'));
      assertRefused(await world.api.mergePatch(`${maps}/patch-target`, '[1]'), 400, 'BadRequest');
      assertRefused(await world.api.mergePatch(`${maps}/patch-target`, '{'), 400, 'BadRequest');
    });
    test('a patch with an old resourceVersion is 409, and one that renames is refused', async () => {
      const { body } = await world.api.post(maps, configMap('patch-version'));
      await world.api.mergePatch(`${maps}/patch-version`, { data: { a: '1' } });
      const { resourceVersion } = body.metadata;
      assertRefused(
        await world.api.mergePatch(`${maps}/patch-version`, { metadata: { resourceVersion }, data: { a: '2' } }),
        409,
        'Conflict',
      );
      const other = { metadata: { uid: '00000000-0000-0000-0000-000000000000' } };
      assertRefused(
        await world.api.mergePatch(`${maps}/patch-version`, other),
        422,
        'Invalid',
        /metadata\.uid: .*field is immutable/,
      );
      assertRefused(await world.api.mergePatch(`${maps}/patch-version`, { metadata: { name: 'other' } }), 400, 'BadRequest');
    });
    test('concurrent patches of different fields all take effect', async () => {
      await world.api.post(maps, configMap('busy'));
      const keys = Array.from({ length: 12 }, (_, index) => `k${index}`);
      const codes = await Promise.all(
        keys.map(async (key) => (await world.api.mergePatch(`${maps}/busy`, { data: { [key]: 'x' } })).code),
      );
      // kube-apiserver retries a patch a few times before it returns the conflict to the client.
      const arrived = keys.filter((_, index) => codes[index] === 200);
      assert.deepEqual(Object.keys((await world.api.get(`${maps}/busy`)).body.data as object).sort(), arrived.sort());
      assert.ok(
        codes.every((code) => code === 200 || code === 409),
        codes.join(),
      );
    });
    test('a strategic merge patch merges keyed lists of built-in kinds', async () => {
      await world.api.post(
        pods,
        pod('smp', {
          containers: [
            { name: 'a', image: 'x:1' },
            { name: 'b', image: 'y:1' },
          ],
        }),
      );
      const { code, body } = await world.api.strategicPatch(`${pods}/smp`, {
        spec: { containers: [{ name: 'b', image: 'y:2' }] },
      });
      assert.equal(code, 200, JSON.stringify(body));
      const images = body.spec.containers.map(({ image }: { image: string }) => image) as string[];
      assert.deepEqual(images, ['x:1', 'y:2']);
      await world.api.mergePatch(`${pods}/smp`, {
        metadata: { finalizers: ['conformance.test/a', 'conformance.test/b'], annotations: { old: '1' } },
      });
      const less = await world.api.strategicPatch(`${pods}/smp`, {
        metadata: {
          '$deleteFromPrimitiveList/finalizers': ['conformance.test/a'],
          annotations: { $patch: 'replace', only: 'this' },
        },
      });
      assert.deepEqual(
        [less.body.metadata.finalizers, less.body.metadata.annotations],
        [['conformance.test/b'], { only: 'this' }],
      );
      await world.api.strategicPatch(`${pods}/smp`, { metadata: { finalizers: null } });
    });
    test('a strategic merge patch of a custom resource is 415', async () => {
      await world.api.post(widgets, widget('no-smp'));
      const answer = await world.api.strategicPatch(`${widgets}/no-smp`, { spec: { size: 1 } });
      assertRefused(answer, 415, 'UnsupportedMediaType', /application\/merge-patch\+json/);
    });
  });
}
