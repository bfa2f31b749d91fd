import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { widgetCrd } from './widget-crd.ts';
import type { World } from './world.ts';
import { assertRefused, causesOf, crdsPath, isGone, widget } from './world.ts';

/** "Extend the Kubernetes API with CustomResourceDefinitions": validation, defaulting, pruning, subresources; KEP-2885 (field validation). */
export function customResources(world: World): void {
  const { widgets } = world;
  const create = (name: string, spec: object, query = '') => world.api.post(`${widgets}${query}`, widget(name, spec));

  describe('fields of a custom resource', () => {
    test('that are missing get their defaults; unknown ones are dropped, with a warning unless disabled', async () => {
      const { code, body, headers } = await create(
        'defaulted',
        { size: 3, nonsense: 1, nested: { more: 2 } },
        '?fieldValidation=Warn',
      );
      assert.equal(code, 201);
      assert.deepEqual(body.spec, { size: 3, replicas: 1, mode: 'A', nested: { deep: 'd' } });
      assert.match(String(headers['warning']), /299 - "unknown field \\"spec\.nested\.more\\""/);
      assert.match(String(headers['warning']), /299 - "unknown field \\"spec\.nonsense\\""/);
      const silent = await create('silent', { size: 3, nonsense: 1 }, '?fieldValidation=Ignore');
      assert.deepEqual([silent.code, silent.headers['warning'], silent.body.spec.nonsense], [201, undefined, undefined]);
      const usual = await create('usual', { size: 3, nonsense: 1 });
      assert.ok(usual.headers['warning'], 'a warning is the default');
    });
    test('that are unknown or duplicate are refused under Strict, in patches too', async () => {
      const answer = await create('strict', { size: 3, nonsense: 1 }, '?fieldValidation=Strict');
      assertRefused(answer, 400, 'BadRequest', /strict decoding error: unknown field "spec\.nonsense"/);
      const twice = '{"apiVersion":"conformance.test/v1","kind":"Widget","metadata":{"name":"twice"},"spec":{"size":3,"size":4}}';
      const duplicate = await world.api.post(`${widgets}?fieldValidation=Strict`, twice);
      assertRefused(duplicate, 400, 'BadRequest', /strict decoding error: duplicate field "spec\.size"/);
      await create('strict-patch', { size: 3 });
      const patched = await world.api.mergePatch(`${widgets}/strict-patch?fieldValidation=Strict`, { spec: { nonsense: 1 } });
      assertRefused(patched, 422, 'Invalid', /unknown field "spec\.nonsense"/);
    });
    test('below x-kubernetes-preserve-unknown-fields are kept', async () => {
      const { body } = await create('free', { size: 1, free: { any: { thing: [1] } } });
      assert.deepEqual(body.spec.free, { any: { thing: [1] } });
    });
    test('are checked against the schema: 422 with a cause for each', async () => {
      const wrong = await create('wrong', {
        size: 11,
        mode: 'C',
        code: 'A1',
        ratio: 0,
        tags: ['a', 'a'],
        limits: { a: '1', b: '2', c: '3' },
      });
      assertRefused(
        wrong,
        422,
        'Invalid',
        /Widget\.conformance\.test "wrong" is invalid: .*spec\.size in body should be less than or equal to 10/,
      );
      const { kind, group, name } = wrong.body.details;
      assert.deepEqual([kind, group, name], ['Widget', 'conformance.test', 'wrong']);
      const found = causesOf(wrong);
      for (const cause of [
        'spec.size FieldValueInvalid',
        'spec.mode FieldValueNotSupported',
        'spec.code FieldValueInvalid',
        'spec.ratio FieldValueInvalid',
        'spec.tags[1] FieldValueDuplicate',
        'spec.limits FieldValueTooMany',
      ])
        assert.ok(found.includes(cause), `${cause} in ${found.join(', ')}`);
    });
    test('that are missing, too long, too many or of another type name their path', async () => {
      const causes = async (name: string, spec: object) => causesOf(await create(name, spec)).join();
      assert.match(await causes('missing', {}), /spec\.size FieldValueRequired/);
      assert.match(await causes('typed', { size: 'big' }), /spec\.size FieldValueTypeInvalid/);
      assert.match(await causes('long', { size: 1, code: 'abcdef' }), /spec\.code FieldValueTooLong/);
      assert.match(await causes('many', { size: 1, tags: ['1', '2', '3', '4', '5', '6'] }), /spec\.tags FieldValueTooMany/);
      assert.match(await causes('item', { size: 1, ports: [{ port: 1 }] }), /spec\.ports\[0\]\.name FieldValueRequired/);
      assert.match(await causes('fraction', { size: 1.5 }), /spec\.size FieldValueTypeInvalid/);
      const noSpec = await world.api.post(widgets, {
        apiVersion: 'conformance.test/v1',
        kind: 'Widget',
        metadata: { name: 'no-spec' },
      });
      assert.ok(causesOf(noSpec).includes('spec FieldValueRequired'));
    });
    test('may be null if the schema says nullable; any other null is replaced by the default, if there is one', async () => {
      const { code, body } = await create('nulls', { size: 1, note: null, mode: null });
      assert.equal(code, 201, JSON.stringify(body));
      assert.deepEqual([body.spec.note, body.spec.mode], [null, 'A']);
      assert.equal((await create('null-size', { size: null })).code, 422);
    });
    test('that are int-or-string accept both, and nothing else', async () => {
      assert.equal((await create('port-number', { size: 1, port: 80 })).body.spec.port, 80);
      assert.equal((await create('port-name', { size: 1, port: 'http' })).body.spec.port, 'http');
      assertRefused(await create('port-bad', { size: 1, port: true }), 422, 'Invalid');
    });
  });

  describe('CEL rules', () => {
    test('are enforced, with their own message, field and reason', async () => {
      const bounds = await create('bounds', { size: 1, min: 3, max: 2 });
      assertRefused(bounds, 422, 'Invalid', /spec: Invalid value: .*min must not exceed max/);
      const large = await create('large', { size: 1, max: 200 });
      assertRefused(large, 422, 'Invalid', /max is far beyond 100/);
      assert.deepEqual(causesOf(large), ['spec.max FieldValueForbidden']);
    });
    test('on transitions apply only to updates; with optionalOldSelf they also apply to creation', async () => {
      assert.equal((await create('fixed', { size: 1, region: 'a' })).code, 201);
      const moved = await world.api.mergePatch(`${widgets}/fixed`, { spec: { region: 'b' } });
      assertRefused(moved, 422, 'Invalid', /spec\.region: Invalid value: "b": region is immutable/);
      assert.deepEqual(causesOf(moved), ['spec.region FieldValueInvalid']);
      assert.equal((await world.api.mergePatch(`${widgets}/fixed`, { spec: { size: 2 } })).code, 200);
      assertRefused(await create('grown', { size: 1, growth: 2 }), 422, 'Invalid', /growth starts at 1/);
      assert.equal((await create('growing', { size: 1, growth: 1 })).code, 201);
      assert.equal((await world.api.mergePatch(`${widgets}/growing`, { spec: { growth: 3 } })).code, 200);
      assertRefused(await world.api.mergePatch(`${widgets}/growing`, { spec: { growth: 2 } }), 422, 'Invalid');
    });
    test('are enforced for patch, apply and update', async () => {
      const { body } = await create('doors-cel', { size: 1 });
      assertRefused(await world.api.put(`${widgets}/doors-cel`, { ...body, spec: { size: 1, max: 200 } }), 422, 'Invalid');
      assertRefused(await world.api.apply(`${widgets}/doors-cel`, widget('doors-cel', { max: 200 }), 'me'), 422, 'Invalid');
      assertRefused(
        await world.api.jsonPatch(`${widgets}/doors-cel`, [{ op: 'add', path: '/spec/max', value: 200 }]),
        422,
        'Invalid',
      );
    });
  });

  describe('generation and subresources', () => {
    test('spec changes increase generation, status and metadata changes do not', async () => {
      await create('generation', { size: 3 });
      const generation = async (path: string, patch: object) =>
        (await world.api.mergePatch(path, patch)).body.metadata.generation as number;
      const path = `${widgets}/generation`;
      assert.equal(await generation(path, { metadata: { labels: { a: 'b' }, annotations: { c: 'd' } } }), 1);
      assert.equal(await generation(`${path}/status`, { status: { replicas: 2 } }), 1);
      assert.equal(await generation(path, { spec: { size: 4 } }), 2);
      assert.equal(await generation(path, { spec: { size: 4 } }), 2);
      assert.equal(await generation(path, { status: { replicas: 7 }, metadata: { generation: 9 } }), 2);
    });
    test('status can be written only through its subresource, and nothing else can be', async () => {
      const created = await world.api.post(widgets, { ...widget('doors'), status: { replicas: 5 } });
      assert.equal(created.body.status, undefined);
      const through = await world.api.mergePatch(`${widgets}/doors/status`, {
        metadata: { labels: { a: 'b' } },
        spec: { size: 9 },
        status: { replicas: 2 },
      });
      assert.deepEqual([through.body.spec.size, through.body.metadata.labels, through.body.status.replicas], [3, undefined, 2]);
      const main = await world.api.mergePatch(`${widgets}/doors`, { status: { replicas: 7 } });
      assert.equal(main.body.status.replicas, 2);
      const put = await world.api.put(`${widgets}/doors/status`, { ...main.body, status: { replicas: 3 } });
      assert.deepEqual([put.code, put.body.status.replicas], [200, 3]);
      assertRefused(await world.api.put(`${widgets}/doors/status`, { ...main.body, status: {} }), 409, 'Conflict');
      assertRefused(await world.api.mergePatch(`${widgets}/doors/status`, { status: { replicas: 'x' } }), 422, 'Invalid');
      assertRefused(await world.api.mergePatch(`${widgets}/none/status`, { status: {} }), 404, 'NotFound');
      assert.equal((await world.api.get(`${widgets}/doors/status`)).body.kind, 'Widget');
    });
    test('scale reads and writes spec.replicas and shows the selector', async () => {
      await create('scaled', { size: 3 });
      await world.api.mergePatch(`${widgets}/scaled/status`, { status: { replicas: 1, selector: 'app=x' } });
      const { body: scale } = await world.api.get(`${widgets}/scaled/scale`);
      assert.deepEqual([scale.kind, scale.apiVersion, scale.metadata.name], ['Scale', 'autoscaling/v1', 'scaled']);
      assert.deepEqual([scale.spec.replicas, scale.status], [1, { replicas: 1, selector: 'app=x' }]);
      assert.equal((await world.api.mergePatch(`${widgets}/scaled/scale`, { spec: { replicas: 4 } })).body.spec.replicas, 4);
      const { body: current } = await world.api.get(`${widgets}/scaled/scale`);
      assert.equal((await world.api.put(`${widgets}/scaled/scale`, { ...current, spec: { replicas: 2 } })).code, 200);
      assertRefused(await world.api.put(`${widgets}/scaled/scale`, { ...current, spec: { replicas: 7 } }), 409, 'Conflict');
      const { body } = await world.api.get(`${widgets}/scaled`);
      assert.deepEqual([body.spec.replicas, body.metadata.generation], [2, 3]);
      assertRefused(await world.api.mergePatch(`${widgets}/scaled/scale`, { spec: { replicas: -1 } }), 422, 'Invalid');
      assertRefused(await world.api.get(`${widgets}/none/scale`), 404, 'NotFound');
    });
    test('every served version shows the same object', async () => {
      const { body } = await create('versioned', { size: 3 });
      const beta = widgets.replace('/v1/', '/v1beta1/');
      const seen = await world.api.get(`${beta}/versioned`);
      assert.deepEqual([seen.body.apiVersion, seen.body.metadata.uid], ['conformance.test/v1beta1', body.metadata.uid]);
      assert.equal((await world.api.mergePatch(`${beta}/versioned`, { spec: { size: 4 } })).code, 200);
      assert.equal((await world.api.get(`${widgets}/versioned`)).body.spec.size, 4);
    });
  });

  describe('CRDs', () => {
    const gizmos = '/apis/conformance.test/v1/gizmos';
    const version = (openAPIV3Schema: object, more: object = {}) => ({
      name: 'v1',
      served: true,
      storage: true,
      schema: { openAPIV3Schema },
      ...more,
    });
    const crd = (plural: string, kind: string, versions: object[]) => ({
      ...widgetCrd,
      metadata: { name: `${plural}.conformance.test` },
      spec: { group: 'conformance.test', scope: 'Cluster', names: { plural, kind }, versions },
    });
    const sized = (maximum: number) =>
      version({ type: 'object', properties: { size: { type: 'integer', maximum }, note: { type: 'string' } } });

    test('are Established with storedVersions and accepted names', async () => {
      const { body } = await world.api.get(`${crdsPath}/widgets.conformance.test`);
      const { conditions, storedVersions, acceptedNames } = body.status;
      const state = (wanted: string) => conditions.find(({ type }: { type: string }) => type === wanted)?.status;
      assert.deepEqual([state('Established'), state('NamesAccepted'), storedVersions], ['True', 'True', ['v1']]);
      assert.equal(acceptedNames.kind, 'Widget');
    });
    test('whose rule does not compile, name does not fit or schema is not structural are refused', async () => {
      const rule = version({ type: 'object', 'x-kubernetes-validations': [{ rule: 'unknownFunction(self)' }] });
      assertRefused(await world.api.post(crdsPath, crd('bads', 'Bad', [rule])), 422, 'Invalid', /compil/);
      const misnamed = { ...crd('bads', 'Bad', [sized(1)]), metadata: { name: 'other.conformance.test' } };
      assertRefused(await world.api.post(crdsPath, misnamed), 422, 'Invalid', /must be spec\.names\.plural\+"\."\+spec\.group/);
      const untyped = version({ type: 'object', properties: { x: {} } });
      assertRefused(
        await world.api.post(crdsPath, crd('bads', 'Bad', [untyped])),
        422,
        'Invalid',
        /must not be empty for specified object fields/,
      );
      assertRefused(
        await world.api.post(crdsPath, crd('bads', 'Bad', [version({ type: 'object' }, { storage: false })])),
        422,
        'Invalid',
      );
    });
    test('may become stricter: unchanged values that were valid stay valid (ratcheting, KEP-4008)', async () => {
      assert.equal((await world.api.post(crdsPath, crd('gizmos', 'Gizmo', [sized(10)]))).code, 201);
      await world.eventually(gizmos, ({ code }) => code === 200);
      const gizmo = { apiVersion: 'conformance.test/v1', kind: 'Gizmo', metadata: { name: 'g' }, size: 9 };
      assert.equal((await world.api.post(gizmos, gizmo)).code, 201);
      assert.equal(
        (await world.api.mergePatch(`${crdsPath}/gizmos.conformance.test`, { spec: { versions: [sized(5)] } })).code,
        200,
      );
      await world.eventually(`${gizmos}?probe`, () => true);
      const tooBig = { ...gizmo, metadata: { name: 'too-big' } };
      for (let tries = 0; tries < 100 && (await world.api.post(`${gizmos}?dryRun=All`, tooBig)).code !== 422; tries++)
        await new Promise((resolve) => setTimeout(resolve, 25));
      assertRefused(await world.api.post(gizmos, tooBig), 422, 'Invalid');
      assert.equal((await world.api.mergePatch(`${gizmos}/g`, { note: 'still 9' })).code, 200);
      assertRefused(await world.api.mergePatch(`${gizmos}/g`, { size: 8 }), 422, 'Invalid');
    });
    test('when deleted, remove their objects and paths', async () => {
      await world.api.del(`${crdsPath}/gizmos.conformance.test`);
      await world.eventually(`${crdsPath}/gizmos.conformance.test`, isGone);
      await world.eventually(gizmos, isGone);
      assert.equal((await world.api.post(crdsPath, crd('gizmos', 'Gizmo', [sized(10)]))).code, 201);
      const { body } = await world.eventually(gizmos, ({ code }) => code === 200);
      assert.equal(body.items.length, 0);
      await world.api.del(`${crdsPath}/gizmos.conformance.test`);
    });
  });
}
