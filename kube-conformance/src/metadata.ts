import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { World } from './world.ts';
import { assertRefused, causesOf, configMap, pod, widget } from './world.ts';

/** "Object Names and IDs", "Owners and Dependents", "Finalizers"; how the API reads null, unusual keys and unusual characters. */
export function metadata(world: World): void {
  const { core, maps, pods, widgets } = world;
  const text = (body: string) => world.api.post(widgets, body);
  const widgetText = (name: string, spec: string) =>
    `{"apiVersion":"conformance.test/v1","kind":"Widget","metadata":{"name":"${name}"},"spec":${spec}}`;

  describe('names and metadata', () => {
    test('names are subdomains of at most 253 characters, for namespaces labels of at most 63', async () => {
      const dry = (name: string) => world.api.post(`${maps}?dryRun=All`, configMap(name));
      for (const name of ['a.b', 'x'.repeat(253), '0']) assert.equal((await dry(name)).code, 201, name);
      for (const name of ['a..b', '-a', 'a-', 'A', 'a/b', 'a%b', 'x'.repeat(254)])
        assertRefused(await dry(name), 422, 'Invalid', /metadata\.name/);
      for (const name of ['a.b', 'x'.repeat(64)])
        assertRefused(
          await world.api.post('/api/v1/namespaces?dryRun=All', { metadata: { name } }),
          422,
          'Invalid',
          /metadata\.name/,
        );
      assertRefused(await world.api.post(`${maps}?dryRun=All`, { metadata: { generateName: 'Bad_' } }), 422, 'Invalid');
    });
    test('metadata is typed, also for custom resources', async () => {
      for (const wrong of [{ name: 5 }, { name: 'x', finalizers: [7] }, { name: 'x', labels: [] }, { name: 'x', uid: {} }]) {
        assertRefused(await world.api.post(maps, { metadata: wrong }), 400, 'BadRequest');
        assertRefused(await world.api.post(widgets, { ...widget('x'), metadata: wrong }), 400, 'BadRequest');
      }
    });
    test('null counts as absent in metadata, in built-in kinds, and where a schema does not allow it', async () => {
      const empty = { metadata: { name: 'nulls', labels: null, annotations: null, creationTimestamp: null }, data: null };
      const made = await world.api.post(maps, empty);
      assert.deepEqual([made.code, made.body.data, made.body.metadata.labels], [201, undefined, undefined]);
      const spec = { size: 1, nested: null, limits: { a: null } };
      const custom = await world.api.post(widgets, { ...widget('nothing', spec), status: null });
      assert.equal(custom.code, 201, JSON.stringify(custom.body));
      assert.deepEqual([custom.body.spec.nested, custom.body.spec.limits], [undefined, {}]);
      const manifest = { ...pod('printed', {}, { creationTimestamp: null }), status: {} };
      assert.equal((await world.api.post(pods, manifest)).code, 201, 'as kubectl prints it under --dry-run');
    });
    test('finalizers of built-in kinds must be qualified; for custom resources an unqualified one is a warning', async () => {
      assertRefused(await world.api.post(maps, configMap('plain', {}, { finalizers: ['plain'] })), 422, 'Invalid', /finalizers/);
      const advised = await world.api.post(widgets, widget('plain', { size: 1 }, { finalizers: ['plain'] }));
      assert.equal(advised.code, 201);
      assert.match(String(advised.headers['warning']), /299 - ".*prefer a domain-qualified finalizer name/);
      await world.api.mergePatch(`${widgets}/plain`, { metadata: { finalizers: null } });
    });
    test('owner references: one controller, no Event, a valid apiVersion; a duplicate owner is a warning', async () => {
      const owner = (more: object) => ({ apiVersion: 'v1', kind: 'ConfigMap', name: 'seen', uid: 'u-1', ...more });
      const owned = (...ownerReferences: object[]) =>
        world.api.post(`${maps}?dryRun=All`, configMap('owned', {}, { ownerReferences }));
      const two = await owned(owner({ controller: true }), owner({ uid: 'u-2', controller: true }));
      assertRefused(two, 422, 'Invalid', /Only one reference can have Controller set to true/);
      assertRefused(await owned(owner({ kind: 'Event' })), 422, 'Invalid', /Kind=Event is disallowed from being an owner/);
      assertRefused(await owned(owner({ apiVersion: 'a/b/c' })), 422, 'Invalid', /apiVersion/);
      const twice = await owned(owner({}), owner({}));
      assert.equal(twice.code, 201);
      assert.match(String(twice.headers['warning']), /duplicate UID\(s\) observed: u-1/);
    });
    test('the label with the name of a namespace cannot be changed', async () => {
      const labels = { 'kubernetes.io/metadata.name': 'other', mine: 'kept' };
      const { body } = await world.api.mergePatch(`/api/v1/namespaces/${world.namespace}`, { metadata: { labels } });
      assert.deepEqual(
        [body.metadata.labels['kubernetes.io/metadata.name'], body.metadata.labels.mine],
        [world.namespace, 'kept'],
      );
    });
    test('keys such as __proto__ and constructor are keys like any other', async () => {
      const spec = '{"size":1,"limits":{"__proto__":"a","constructor":"b"},"free":{"__proto__":{"polluted":1}}}';
      const { code, body } = await text(widgetText('proto', spec));
      assert.equal(code, 201);
      assert.equal(JSON.stringify(body.spec.limits), '{"__proto__":"a","constructor":"b"}');
      assert.equal(JSON.stringify(body.spec.free), '{"__proto__":{"polluted":1}}');
      const type = 'application/merge-patch+json';
      const patch = '{"spec":{"free":{"__proto__":{"more":2},"toString":null}}}';
      const patched = await world.api.call('PATCH', `${widgets}/proto`, { body: patch, type });
      assert.match(JSON.stringify(patched.body.spec.free), /^{"__proto__":{("polluted":1,"more":2|"more":2,"polluted":1)}}$/);
      assert.equal((await world.api.get(`${widgets}?labelSelector=toString`)).body.items.length, 0);
    });
    test('an unknown field with any name is dropped, and its name cannot inject a header', async () => {
      const odd = await text(widgetText('odd-field', '{"size":1,"\u00e4\u6f22\\r\\nX-Injected: 1":2}'));
      assert.deepEqual([odd.code, odd.body.spec], [201, { size: 1, mode: 'A', replicas: 1 }], JSON.stringify(odd.body));
      assert.equal(odd.headers['x-injected'], undefined);
    });
  });

  describe('limits and values of built-in kinds', () => {
    const leases = `/apis/coordination.k8s.io/v1/namespaces/${world.namespace}/leases`;
    const budgets = `/apis/policy/v1/namespaces/${world.namespace}/poddisruptionbudgets`;
    test('a Secret or ConfigMap holds at most one mebibyte', async () => {
      const data = { a: 'x'.repeat(1_100_000) };
      assertRefused(await world.api.post(maps, configMap('big', data)), 422, 'Invalid', /may not be more than 1048576 bytes/);
      const secret = { metadata: { name: 'big' }, data: { a: Buffer.alloc(1_100_000).toString('base64') } };
      assertRefused(await world.api.post(`${core}/secrets`, secret), 422, 'Invalid', /may not be more than 1048576 bytes/);
    });
    test('a TLS Secret must have certificate and key', async () => {
      const bare = await world.api.post(`${core}/secrets`, { metadata: { name: 'tls' }, type: 'kubernetes.io/tls', data: {} });
      assert.deepEqual(causesOf(bare), ['data[tls.crt] FieldValueRequired', 'data[tls.key] FieldValueRequired']);
    });
    test('times of a Lease have microseconds, its transitions are not negative', async () => {
      const lease = (spec: object) => world.api.post(`${leases}?dryRun=All`, { metadata: { name: 'odd' }, spec });
      assertRefused(await lease({ renewTime: '2026-01-02T03:04:05Z' }), 400, 'BadRequest');
      assertRefused(await lease({ renewTime: 'yesterday' }), 400, 'BadRequest');
      assert.equal((await lease({ renewTime: '2026-01-02T03:04:05.000001Z' })).code, 201);
      assertRefused(await lease({ leaseTransitions: -1 }), 422, 'Invalid', /leaseTransitions/);
    });
    test('a disruption budget has one of its two bounds, as a number or percentage', async () => {
      const budget = (spec: object) => world.api.post(`${budgets}?dryRun=All`, { metadata: { name: 'odd' }, spec });
      assertRefused(await budget({ minAvailable: 1, maxUnavailable: 1 }), 422, 'Invalid', /cannot be both set/);
      assertRefused(await budget({ minAvailable: 'x%' }), 422, 'Invalid', /spec\.minAvailable/);
      assert.equal((await budget({ minAvailable: '50%' })).code, 201);
    });
    test('ports, variable names and volumes of a pod are validated', async () => {
      const refused = async (spec: object, cause: string) => {
        const answer = await world.api.post(pods, pod('odd', spec));
        assertRefused(answer, 422, 'Invalid');
        assert.ok(causesOf(answer).includes(cause), causesOf(answer).join());
      };
      const container = (more: object) => ({ containers: [{ name: 'a', image: 'x', ...more }] });
      const port = 'spec.containers[0].ports[0].containerPort FieldValueInvalid';
      await refused(container({ ports: [{ containerPort: 70_000 }] }), port);
      await refused(container({ env: [{ name: '' }] }), 'spec.containers[0].env[0].name FieldValueRequired');
      const volumes = ['a', 'a'].map((name) => ({ name, emptyDir: {} }));
      await refused({ volumes }, 'spec.volumes[1].name FieldValueDuplicate');
    });
  });
}
