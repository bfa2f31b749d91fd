import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { World } from './world.ts';
import { assertRefused, causesOf, configMap, isGone, namesOf, widget } from './world.ts';

const noUid = '00000000-0000-0000-0000-000000000000';

/** "API concepts" (verbs, dry run, generated names), "API conventions" (metadata, concurrency control and consistency). */
export function objects(world: World): void {
  const { core, maps, widgets } = world;
  describe('create', () => {
    test('the server sets uid, resourceVersion, creationTimestamp and generation, whatever is sent', async () => {
      const sent = widget('created', { size: 3 }, { uid: 'mine', generation: 9, creationTimestamp: '2001-01-01T00:00:00Z' });
      const { code, body } = await world.api.post(widgets, sent);
      assert.equal(code, 201, JSON.stringify(body));
      assert.match(body.metadata.uid, /^[0-9a-f-]{36}$/);
      assert.ok(Number(body.metadata.resourceVersion) > 0);
      assert.equal(body.metadata.generation, 1);
      assert.ok(Math.abs(Date.now() - Date.parse(body.metadata.creationTimestamp)) < 60_000);
      assert.deepEqual((await world.api.get(`${widgets}/created`)).body, body);
    });
    test('with resourceVersion it is refused', async () => {
      for (const [path, object] of [
        [maps, configMap('versioned', {}, { resourceVersion: '5' })],
        [widgets, widget('versioned', { size: 1 }, { resourceVersion: '5' })],
      ] as const) {
        const { code, body } = await world.api.post(path, object);
        assert.ok(code >= 400, String(code));
        assert.match(String(body.message), /resourceVersion should not be set on objects to be created/);
      }
    });
    test('a second object of the name is 409 AlreadyExists, a get of an unknown one 404, both with details', async () => {
      await world.api.post(maps, configMap('twice'));
      const again = await world.api.post(maps, configMap('twice'));
      assertRefused(again, 409, 'AlreadyExists', /^configmaps "twice" already exists$/);
      assert.deepEqual(again.body.details, { name: 'twice', kind: 'configmaps' });
      const missing = await world.api.get(`${maps}/none`);
      assertRefused(missing, 404, 'NotFound', /^configmaps "none" not found$/);
      assert.deepEqual(missing.body.details, { name: 'none', kind: 'configmaps' });
      const custom = await world.api.get(`${widgets}/none`);
      assertRefused(custom, 404, 'NotFound', /^widgets\.conformance\.test "none" not found$/);
      assert.deepEqual(custom.body.details, { name: 'none', group: 'conformance.test', kind: 'widgets' });
    });
    test('generateName gives a new name each time, and name takes precedence', async () => {
      const made = await Promise.all([1, 2, 3].map(() => world.api.post(maps, { metadata: { generateName: 'gen-' } })));
      const names = made.map(({ body }) => body.metadata.name as string);
      assert.equal(new Set(names).size, 3);
      for (const name of names) assert.match(name, /^gen-[a-z0-9]{5}$/);
      const both = await world.api.post(maps, { metadata: { name: 'given', generateName: 'gen-' } });
      assert.equal(both.body.metadata.name, 'given');
      const long = await world.api.post(maps, { metadata: { generateName: 'x'.repeat(70) } });
      assert.equal(long.body.metadata.name.length, 63);
    });
    test('bad names, labels, annotations and finalizers are 422 with the field', async () => {
      const refused = async (metadata: object, field: string) => {
        const answer = await world.api.post(maps, { metadata });
        assertRefused(answer, 422, 'Invalid');
        assert.ok(
          causesOf(answer).some((cause) => cause.startsWith(field)),
          `${field} in ${causesOf(answer).join()}`,
        );
      };
      await refused({ name: 'Bad_Name' }, 'metadata.name');
      await refused({}, 'metadata.name');
      await refused({ name: 'x', labels: { a: 'not valid!' } }, 'metadata.labels');
      await refused({ name: 'x', labels: { 'bad key!': 'a' } }, 'metadata.labels');
      await refused({ name: 'x', annotations: { 'bad key!': 'a' } }, 'metadata.annotations');
      await refused({ name: 'x', annotations: { a: 'x'.repeat(300_000) } }, 'metadata.annotations');
      await refused({ name: 'x', finalizers: ['Not A Name'] }, 'metadata.finalizers');
      await refused(
        { name: 'x', ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: '', uid: '' }] },
        'metadata.ownerReferences',
      );
    });
    test('a label that is not a string is 400', async () => {
      assertRefused(await world.api.post(maps, { metadata: { name: 'typed', labels: { a: 1 } } }), 400, 'BadRequest');
      assertRefused(await world.api.post(widgets, widget('typed', { size: 1 }, { labels: { a: 1 } })), 400, 'BadRequest');
    });
    test('in a namespace that does not exist it is 404; a namespace in the body other than that of the path is 400', async () => {
      const nowhere = await world.api.post('/api/v1/namespaces/nowhere/configmaps', configMap('x'));
      assertRefused(nowhere, 404, 'NotFound', /namespaces "nowhere" not found/);
      assertRefused(await world.api.post(maps, configMap('x', {}, { namespace: 'elsewhere' })), 400, 'BadRequest');
    });
  });

  describe('update', () => {
    test('with an old resourceVersion it is 409 Conflict with details, and changes nothing', async () => {
      const { body: first } = await world.api.post(maps, configMap('lock', { a: '1' }));
      assert.equal((await world.api.put(`${maps}/lock`, { ...first, data: { a: '2' } })).code, 200);
      const stale = await world.api.put(`${maps}/lock`, { ...first, data: { a: '3' } });
      assertRefused(stale, 409, 'Conflict', /^Operation cannot be fulfilled on configmaps "lock": the object has been modified/);
      assert.deepEqual(stale.body.details, { name: 'lock', kind: 'configmaps' });
      assert.equal((await world.api.get(`${maps}/lock`)).body.data.a, '2');
    });
    test('without resourceVersion the last writer wins, but not for custom resources and Leases', async () => {
      await world.api.post(maps, configMap('unconditional', { a: '1' }));
      assert.equal((await world.api.put(`${maps}/unconditional`, configMap('unconditional', { a: '2' }))).body.data.a, '2');
      await world.api.post(widgets, widget('needs-version'));
      const custom = await world.api.put(`${widgets}/needs-version`, widget('needs-version', { size: 4 }));
      assertRefused(custom, 422, 'Invalid');
      assert.deepEqual(causesOf(custom), ['metadata.resourceVersion FieldValueInvalid']);
    });
    test('of an unknown object it is 404; of one that was recreated since, 409', async () => {
      assertRefused(await world.api.put(`${maps}/absent`, configMap('absent')), 404, 'NotFound');
      const { body: first } = await world.api.post(maps, configMap('reborn'));
      await world.api.del(`${maps}/reborn`);
      await world.api.post(maps, configMap('reborn'));
      assertRefused(await world.api.put(`${maps}/reborn`, first), 409, 'Conflict');
      const { resourceVersion: _version, ...metadata } = first.metadata;
      assertRefused(await world.api.put(`${maps}/reborn`, { ...first, metadata }), 409, 'Conflict');
    });
    test('that changes nothing keeps the resourceVersion', async () => {
      const { body } = await world.api.post(widgets, widget('same'));
      const again = await world.api.put(`${widgets}/same`, body);
      assert.equal(again.body.metadata.resourceVersion, body.metadata.resourceVersion);
      const patched = await world.api.mergePatch(`${widgets}/same`, { spec: { size: 3 } });
      assert.equal(patched.body.metadata.resourceVersion, body.metadata.resourceVersion);
    });
    test('identity and times cannot be changed', async () => {
      const { body } = await world.api.post(widgets, widget('identity'));
      const change = (metadata: object) =>
        world.api.put(`${widgets}/identity`, { ...body, metadata: { ...body.metadata, ...metadata } });
      assertRefused(await change({ uid: noUid }), 409, 'Conflict', /Precondition failed: UID in precondition/);
      assertRefused(await change({ name: 'other' }), 400, 'BadRequest');
      assertRefused(await change({ namespace: 'default' }), 400, 'BadRequest');
      const { body: kept } = await change({
        creationTimestamp: '2001-01-01T00:00:00Z',
        generation: 7,
        selfLink: '/x',
        labels: { a: 'b' },
      });
      assert.deepEqual(
        [kept.metadata.creationTimestamp, kept.metadata.generation, kept.metadata.labels],
        [body.metadata.creationTimestamp, 1, { a: 'b' }],
      );
      const doomed = await world.api.mergePatch(`${widgets}/identity`, {
        metadata: { deletionTimestamp: '2001-01-01T00:00:00Z' },
      });
      assertRefused(doomed, 422, 'Invalid', /metadata\.deletionTimestamp: .*field is immutable/);
    });
    test('of concurrent updates with the same resourceVersion exactly one succeeds', async () => {
      const { body } = await world.api.post(maps, configMap('race'));
      const writes = Array.from({ length: 8 }, (_, index) =>
        world.api.put(`${maps}/race`, { ...body, data: { winner: String(index) } }),
      );
      const codes = (await Promise.all(writes)).map(({ code }) => code).sort();
      assert.deepEqual(codes, [200, ...Array<number>(7).fill(409)]);
    });
  });

  describe('delete', () => {
    test('returns a Status that names the deleted object; a second deletion is 404', async () => {
      const made = await world.api.post(maps, configMap('gone'));
      const { code, body } = await world.api.del(`${maps}/gone`);
      assert.deepEqual([code, body.kind, body.status], [200, 'Status', 'Success']);
      assert.deepEqual(body.details, { name: 'gone', kind: 'configmaps', uid: made.body.metadata.uid });
      assertRefused(await world.api.del(`${maps}/gone`), 404, 'NotFound');
    });
    test('honours preconditions on uid and resourceVersion', async () => {
      const { body } = await world.api.post(maps, configMap('guarded'));
      const { uid, resourceVersion } = body.metadata;
      const wrongUid = await world.api.del(`${maps}/guarded`, { preconditions: { uid: noUid } });
      assertRefused(wrongUid, 409, 'Conflict', /precondition/);
      const wrongVersion = await world.api.del(`${maps}/guarded`, { preconditions: { resourceVersion: '1' } });
      assertRefused(wrongVersion, 409, 'Conflict', /precondition/);
      assert.equal((await world.api.del(`${maps}/guarded`, { preconditions: { uid, resourceVersion } })).code, 200);
      assert.equal((await world.api.get(`${maps}/guarded`)).code, 404);
    });
    test('invalid options are 422', async () => {
      await world.api.post(maps, configMap('options'));
      assertRefused(await world.api.del(`${maps}/options`, { propagationPolicy: 'Sideways' }), 422, 'Invalid');
      assertRefused(
        await world.api.del(`${maps}/options`, { propagationPolicy: 'Orphan', orphanDependents: true }),
        422,
        'Invalid',
      );
      assert.equal((await world.api.get(`${maps}/options`)).code, 200);
    });
    test('a finalizer delays it until it is removed; new finalizers are refused meanwhile', async () => {
      await world.api.post(widgets, widget('held', { size: 3 }, { finalizers: ['conformance.test/hold'] }));
      const deleted = await world.api.del(`${widgets}/held`);
      assert.equal(deleted.code, 200);
      assert.ok(deleted.body.metadata.deletionTimestamp);
      assert.equal(deleted.body.metadata.deletionGracePeriodSeconds, 0);
      assert.equal(deleted.body.metadata.generation, 2);
      const again = await world.api.del(`${widgets}/held`);
      assert.equal(again.body.metadata.deletionTimestamp, deleted.body.metadata.deletionTimestamp);
      const finalizers = ['conformance.test/hold', 'conformance.test/new'];
      assertRefused(await world.api.mergePatch(`${widgets}/held`, { metadata: { finalizers } }), 422, 'Invalid');
      assertRefused(await world.api.post(widgets, widget('held')), 409, 'AlreadyExists');
      assert.equal((await world.api.mergePatch(`${widgets}/held/status`, { status: { replicas: 1 } })).code, 200);
      assert.equal((await world.api.mergePatch(`${widgets}/held`, { metadata: { finalizers: null } })).code, 200);
      assert.equal((await world.api.get(`${widgets}/held`)).code, 404);
    });
    test('of a collection deletes what the selector matches', async () => {
      for (const [name, group] of Object.entries({ 'dc-1': 'x', 'dc-2': 'x', 'dc-3': 'y' }))
        await world.api.post(maps, configMap(name, {}, { labels: { group } }));
      assert.equal((await world.api.del(`${maps}?labelSelector=group%3Dx&dryRun=All`)).code, 200);
      assert.equal(namesOf(await world.api.get(`${maps}?labelSelector=group`)).length, 3);
      assert.equal((await world.api.del(`${maps}?labelSelector=group%3Dx`)).code, 200);
      assert.deepEqual(namesOf(await world.api.get(`${maps}?labelSelector=group`)), ['dc-3']);
    });
  });

  describe('dry run', () => {
    test('returns the outcome, and stores nothing', async () => {
      const dry = await world.api.post(`${maps}?dryRun=All`, configMap('dry'));
      assert.equal(dry.code, 201);
      assert.equal((await world.api.get(`${maps}/dry`)).code, 404);
      const { body } = await world.api.post(widgets, widget('dry', { size: 3 }));
      assert.equal((await world.api.mergePatch(`${widgets}/dry?dryRun=All`, { spec: { size: 4 } })).body.spec.size, 4);
      assert.equal(
        (await world.api.put(`${widgets}/dry?dryRun=All`, { ...body, spec: { size: 5 } })).body.metadata.generation,
        2,
      );
      assert.equal(
        (await world.api.mergePatch(`${widgets}/dry/scale?dryRun=All`, { spec: { replicas: 5 } })).body.spec.replicas,
        5,
      );
      assert.equal((await world.api.del(`${widgets}/dry`, { dryRun: ['All'] })).code, 200);
      assert.equal((await world.api.del(`${widgets}/dry?dryRun=All`)).code, 200);
      assert.deepEqual((await world.api.get(`${widgets}/dry`)).body, body);
    });
    test('is refused when the real request would be', async () => {
      assertRefused(await world.api.post(`${widgets}?dryRun=All`, widget('dry-bad', { size: 99 })), 422, 'Invalid');
      await world.api.post(maps, configMap('dry-taken'));
      assertRefused(await world.api.post(`${maps}?dryRun=All`, configMap('dry-taken')), 409, 'AlreadyExists');
      assert.ok(isGone(await world.api.get(`${core}/configmaps/dry-bad`)));
    });
  });
}
