import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { collect } from './api-client.ts';
import type { World } from './world.ts';
import { assertRefused, configMap, isGone, pod, widget } from './world.ts';

const noUid = '00000000-0000-0000-0000-000000000000';

/** "API concepts": which verbs exist, what their parameters mean, and that a dry run of any of them stores nothing. */
export function verbs(world: World): void {
  const { core, maps, pods, widgets } = world;
  describe('verbs', () => {
    test('a dry run of a binding or an eviction changes nothing, whether requested by body or query', async () => {
      await world.api.post(pods, pod('dry-bound'));
      const target = { apiVersion: 'v1', kind: 'Node', name: 'n1' };
      const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'dry-bound' }, target };
      assert.equal((await world.api.post(`${pods}/dry-bound/binding?dryRun=All`, binding)).code, 201);
      assert.equal((await world.api.get(`${pods}/dry-bound`)).body.spec.nodeName, undefined);
      const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'dry-bound' } };
      assert.equal((await world.api.post(`${pods}/dry-bound/eviction?dryRun=All`, eviction)).code, 201);
      const byBody = { ...eviction, deleteOptions: { dryRun: ['All'] } };
      assert.equal((await world.api.post(`${pods}/dry-bound/eviction`, byBody)).code, 201);
      assert.equal((await world.api.get(`${pods}/dry-bound`)).code, 200);
    });
    test('a dry run of a status write, or of the deletion of a namespace or of an object with a finalizer, changes nothing', async () => {
      await world.api.post(widgets, widget('dry-status', { size: 1 }, { finalizers: ['conformance.test/hold'] }));
      const status = await world.api.mergePatch(`${widgets}/dry-status/status?dryRun=All`, { status: { replicas: 3 } });
      assert.deepEqual([status.code, status.body.status], [200, { replicas: 3 }]);
      const marked = await world.api.del(`${widgets}/dry-status?dryRun=All`);
      assert.ok(marked.body.metadata.deletionTimestamp, 'the response is the outcome');
      const { body } = await world.api.get(`${widgets}/dry-status`);
      assert.deepEqual([body.status, body.metadata.deletionTimestamp], [undefined, undefined]);
      await world.api.mergePatch(`${widgets}/dry-status`, { metadata: { finalizers: null } });
      assert.equal((await world.api.del(`/api/v1/namespaces/${world.namespace}?dryRun=All`)).code, 200);
      assert.equal((await world.api.get(`/api/v1/namespaces/${world.namespace}`)).body.status.phase, 'Active');
    });
    test('the response to a dry run of a creation has no resourceVersion', async () => {
      const { body } = await world.api.post(`${maps}?dryRun=All`, { metadata: { generateName: 'dry-' } });
      assert.deepEqual([body.metadata.resourceVersion, body.metadata.name.length], [undefined, 9]);
    });
    test('collections are deleted by label or field, within a namespace and with preconditions; namespaces are not', async () => {
      for (const name of ['many-1', 'many-2', 'many-3'])
        await world.api.post(maps, configMap(name, {}, { labels: { suite: 'many' } }));
      const guarded = await world.api.call('DELETE', `${maps}?labelSelector=suite%3Dmany`, {
        body: { preconditions: { uid: noUid } },
      });
      assertRefused(guarded, 409, 'Conflict');
      const { code, body } = await world.api.del(`${maps}?fieldSelector=metadata.name%3Dmany-1`);
      assert.deepEqual([code, body.kind, body.items.length], [200, 'ConfigMapList', 1]);
      assert.equal((await world.api.get(`${maps}/many-1`)).code, 404);
      assertRefused(await world.api.del(`${maps}?labelSelector=a%20b`), 400, 'BadRequest');
      await world.api.del(`${maps}?labelSelector=suite%3Dmany`);
      assert.equal((await world.api.get(`${maps}?labelSelector=suite%3Dmany`)).body.items.length, 0);
      assertRefused(await world.api.del('/api/v1/namespaces?labelSelector=none'), 405, 'MethodNotAllowed');
      const resources = (await world.api.get('/api/v1')).body.resources as { name: string; verbs: string[] }[];
      const verbsOf = (wanted: string) => resources.find(({ name }) => name === wanted)?.verbs;
      assert.equal(verbsOf('namespaces')?.includes('deletecollection'), false);
      assert.equal(verbsOf('configmaps')?.includes('deletecollection'), true);
    });
    test('the system namespaces cannot be deleted', async () => {
      for (const name of ['default', 'kube-system'])
        assertRefused(await world.api.del(`/api/v1/namespaces/${name}`), 403, 'Forbidden', /this namespace may not be deleted/);
    });
    test('a deletion accepts only DeleteOptions, and a second one may still request orphans', async () => {
      await world.api.post(maps, configMap('options-kind'));
      assert.equal((await world.api.del(`${maps}/options-kind`, { kind: 'Pod', apiVersion: 'v1' })).code, 400);
      assert.equal((await world.api.del(`${maps}/options-kind`, { kind: 'DeleteOptions', apiVersion: 'v1' })).code, 200);
      await world.api.post(widgets, widget('orphaning', { size: 1 }, { finalizers: ['conformance.test/hold'] }));
      await world.api.del(`${widgets}/orphaning`);
      await world.api.del(`${widgets}/orphaning`, { propagationPolicy: 'Orphan' });
      const { body } = await world.eventually(`${widgets}/orphaning`, ({ body: seen }) =>
        (seen.metadata.finalizers as string[]).includes('conformance.test/hold'),
      );
      assert.ok(body.metadata.deletionTimestamp);
      await world.api.jsonPatch(`${widgets}/orphaning`, [{ op: 'remove', path: '/metadata/finalizers' }]);
      await world.eventually(`${widgets}/orphaning`, isGone);
    });
    test('Foreground deletes an object without dependents too', async () => {
      await world.api.post(maps, configMap('lonely'));
      assert.equal((await world.api.del(`${maps}/lonely`, { propagationPolicy: 'Foreground' })).code, 200);
      await world.eventually(`${maps}/lonely`, isGone);
    });
    test('watch is true for any value except 0 and false, and is not a parameter of a get', async () => {
      await world.api.post(maps, configMap('seen'));
      const selected = `${maps}?fieldSelector=metadata.name%3Dseen&timeoutSeconds=5`;
      for (const value of ['1', 'true', 'True', 't'])
        assert.equal((await collect(world.api.watch(`${selected}&watch=${value}`), () => true))[0]?.type, 'ADDED', value);
      for (const value of ['0', 'false', 'False'])
        assert.equal((await world.api.get(`${selected}&watch=${value}`)).body.kind, 'ConfigMapList', value);
      assert.equal((await world.api.get(`${maps}/seen?watch=true`)).body.kind, 'ConfigMap');
    });
    test('resources have no HEAD or OPTIONS, and subresources no DELETE', async () => {
      for (const method of ['HEAD', 'OPTIONS']) assert.equal((await world.api.call(method, `${maps}/seen`)).code, 405, method);
      await world.api.post(widgets, widget('sub-delete'));
      for (const subresource of ['status', 'scale'])
        assertRefused(await world.api.del(`${widgets}/sub-delete/${subresource}`), 405, 'MethodNotAllowed');
      assertRefused(await world.api.post(`${widgets}/sub-delete/status`, {}), 405, 'MethodNotAllowed');
    });
    test('scale accepts a Scale of the same name', async () => {
      await world.api.post(widgets, widget('scale-kind'));
      const scale = { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'scale-kind' }, spec: { replicas: 4 } };
      const path = `${widgets}/scale-kind/scale`;
      assertRefused(await world.api.put(path, { ...scale, metadata: { name: 'other' } }), 400, 'BadRequest');
      assertRefused(await world.api.put(path, { ...scale, apiVersion: 'v1', kind: 'Pod' }), 400, 'BadRequest');
      const { code, body } = await world.api.jsonPatch(path, [{ op: 'replace', path: '/spec/replicas', value: 3 }]);
      assert.deepEqual([code, body.spec.replicas], [200, 3]);
    });
    test('status can be removed', async () => {
      await world.api.post(widgets, widget('no-status'));
      await world.api.mergePatch(`${widgets}/no-status/status`, { status: { replicas: 2 } });
      const { code, body } = await world.api.mergePatch(`${widgets}/no-status/status`, { status: null });
      assert.deepEqual([code, body.status], [200, undefined]);
    });
    test('of several encodings the preferred one is used; a Table of another group is 406', async () => {
      const type = async (accept: string) => String((await world.api.get(maps, { accept })).headers['content-type']);
      assert.match(await type('application/yaml;q=0.1,application/json;q=0.9'), /^application\/json/);
      assert.match(await type('application/json;q=0.1,application/yaml;q=0.9'), /^application\/yaml/);
      assert.equal((await world.api.get(maps, { accept: 'application/json;as=Table;v=v1;g=other.test' })).code, 406);
    });
    test('a fieldManager must be printable', async () => {
      assertRefused(await world.api.post(`${maps}?fieldManager=%07x`, configMap('bell')), 422, 'Invalid', /fieldManager/);
    });
    test('a JSON patch has at most 10,000 operations, and only known ones', async () => {
      const tests = Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/metadata/name', value: 'seen' }));
      assertRefused(await world.api.jsonPatch(`${maps}/seen`, tests), 413, 'RequestEntityTooLarge');
      assertRefused(await world.api.jsonPatch(`${maps}/seen`, [{ op: 'frob', path: '/data' }]), 422, 'Invalid');
      assert.equal((await world.api.jsonPatch(`${maps}/seen`, [])).code, 200);
    });
    test('a replacement of a whole object must contain its name', async () => {
      const apply = { apiVersion: 'conformance.test/v1', kind: 'Widget', spec: { size: 1 } };
      assertRefused(await world.api.apply(`${widgets}/nameless`, apply, 'm'), 400, 'BadRequest', /name must be provided/);
      const whole = [{ op: 'replace', path: '', value: { data: {} } }];
      assertRefused(await world.api.jsonPatch(`${core}/configmaps/seen`, whole), 400, 'BadRequest', /name must be provided/);
    });
    test('a field that the schema does not have cannot be applied, whatever fieldValidation says', async () => {
      for (const validation of ['Ignore', 'Warn', 'Strict']) {
        const path = `${widgets}/undeclared?fieldManager=m&fieldValidation=${validation}`;
        const body = widget('undeclared', { size: 1, nonsense: 2 });
        const answer = await world.api.call('PATCH', path, { body, type: 'application/apply-patch+yaml' });
        assert.ok(answer.code >= 400, String(answer.code));
        assert.match(answer.body.message, /nonsense/);
      }
      assert.equal((await world.api.get(`${widgets}/undeclared`)).code, 404);
    });
  });
}
