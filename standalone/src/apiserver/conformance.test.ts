import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { ApiUnderTest, collect, widgetCrd } from './testing/api-under-test.ts';

// What the Kubernetes documentation says of its API ("API concepts", "Server-Side Apply", "Extend with CRDs"), tested over
// HTTP only. With MILLRACE_CONFORMANCE_KUBECONFIG set the same tests run against a real kube-apiserver.
let api: ApiUnderTest;
const namespace = `conf-${randomBytes(3).toString('hex')}`;
const core = `/api/v1/namespaces/${namespace}`;
const widgets = `/apis/conformance.test/v1/namespaces/${namespace}/widgets`;
const widget = (name: string, spec: object = { size: 3 }) => ({
  apiVersion: 'conformance.test/v1',
  kind: 'Widget',
  metadata: { name },
  spec,
});
const configMap = (name: string, data: object = {}, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...metadata },
  data,
});

before(async () => {
  api = await ApiUnderTest.start();
  assert.equal((await api.post('/api/v1/namespaces', { metadata: { name: namespace } })).code, 201);
  const crd = await api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', widgetCrd);
  assert.ok(crd.code === 201 || crd.code === 409, JSON.stringify(crd.body));
  for (let tries = 0; tries < 100 && (await api.get(widgets)).code !== 200; tries++)
    await new Promise((resolve) => setTimeout(resolve, 50));
});
after(() => api.close());

describe('requests', () => {
  test('a request without a token is 401 with a Status, health is not asked for one', async () => {
    const answer = await api.get(`${core}/pods`, { token: null });
    assert.ok(answer.code === 401 || (answer.code === 403 && !api.own));
    if (api.own) assert.equal(answer.body.reason, 'Unauthorized');
    assert.equal((await api.get('/readyz', { token: null })).code, 200);
    assert.equal((await api.get('/version', { token: null })).body.major, '1');
  });
  test('an unknown resource and an unknown path are 404', async () => {
    assert.equal((await api.get(`${core}/gadgets`)).code, 404);
    assert.equal((await api.get('/apis/nowhere.test/v1')).code, 404);
  });
  test('malformed JSON is 400, another media type 415', async () => {
    assert.equal((await api.post(`${core}/configmaps`, '{')).code, 400);
    assert.equal((await api.post(`${core}/configmaps`, 'x', { type: 'text/plain' })).code, 415);
  });
  test('discovery names group, version, short names and subresources', async () => {
    const { body } = await api.get('/apis/conformance.test/v1');
    const names = body.resources.map((resource: { name: string }) => resource.name);
    assert.deepEqual(names.sort(), ['widgets', 'widgets/scale', 'widgets/status']);
    assert.deepEqual(body.resources.find((resource: { name: string }) => resource.name === 'widgets').shortNames, ['wd']);
    const groups = (await api.get('/apis')).body.groups.map((group: { name: string }) => group.name);
    assert.ok(groups.includes('conformance.test'));
  });
  test('OpenAPI v3 of a CRD tells kubectl that fieldValidation is understood', async () => {
    const index = await api.get('/openapi/v3');
    const path = index.body.paths['apis/conformance.test/v1'].serverRelativeURL;
    const { body } = await api.get(path);
    assert.equal(body.components.schemas['test.conformance.v1.Widget'].properties.spec.properties.size.maximum, 10);
    const patch = body.paths['/apis/conformance.test/v1/namespaces/{namespace}/widgets/{name}'].patch;
    assert.ok(patch.parameters.some((parameter: { name: string }) => parameter.name === 'fieldValidation'));
  });
});

describe('create, get, update, delete', () => {
  test('the server sets uid, resourceVersion and creationTimestamp, and generation 1 on custom resources', async () => {
    const { code, body } = await api.post(widgets, {
      ...widget('created'),
      metadata: { name: 'created', uid: 'mine', generation: 9 },
    });
    assert.equal(code, 201);
    assert.match(body.metadata.uid, /^[0-9a-f-]{36}$/);
    assert.ok(Number(body.metadata.resourceVersion) > 0);
    assert.equal(body.metadata.generation, 1);
    assert.deepEqual((await api.get(`${widgets}/created`)).body, body);
  });
  test('a second create is 409 AlreadyExists, a get of nothing 404 with details', async () => {
    await api.post(`${core}/configmaps`, configMap('twice'));
    const again = await api.post(`${core}/configmaps`, configMap('twice'));
    assert.equal(again.code, 409);
    assert.equal(again.body.reason, 'AlreadyExists');
    const missing = await api.get(`${core}/configmaps/none`);
    assert.equal(missing.body.message, 'configmaps "none" not found');
    assert.deepEqual(missing.body.details, { name: 'none', kind: 'configmaps' });
  });
  test('generateName makes a fresh name each time', async () => {
    const made = await Promise.all([1, 2, 3].map(() => api.post(`${core}/configmaps`, { metadata: { generateName: 'gen-' } })));
    const names = made.map(({ body }) => body.metadata.name as string);
    assert.equal(new Set(names).size, 3);
    for (const name of names) assert.match(name, /^gen-[a-z0-9]{5}$/);
  });
  test('bad names and labels are 422 with the field', async () => {
    const name = await api.post(`${core}/configmaps`, configMap('Bad_Name'));
    assert.equal(name.code, 422);
    assert.equal(name.body.details.causes[0].field, 'metadata.name');
    const label = await api.post(`${core}/configmaps`, configMap('labels', {}, { labels: { a: 'not valid!' } }));
    assert.equal(label.code, 422);
    assert.equal(label.body.details.causes[0].field, 'metadata.labels');
  });
  test('creating in a namespace that does not exist is 404', async () => {
    const { code } = await api.post('/api/v1/namespaces/nowhere/configmaps', configMap('x'));
    assert.equal(code, 404);
  });
  test('an update with an old resourceVersion is 409 Conflict and changes nothing', async () => {
    const { body: first } = await api.post(`${core}/configmaps`, configMap('lock', { a: '1' }));
    assert.equal((await api.put(`${core}/configmaps/lock`, { ...first, data: { a: '2' } })).code, 200);
    const stale = await api.put(`${core}/configmaps/lock`, { ...first, data: { a: '3' } });
    assert.equal(stale.code, 409);
    assert.equal(stale.body.reason, 'Conflict');
    assert.equal((await api.get(`${core}/configmaps/lock`)).body.data.a, '2');
  });
  test('a custom resource cannot be updated without resourceVersion', async () => {
    await api.post(widgets, widget('needs-version'));
    const { code, body } = await api.put(`${widgets}/needs-version`, widget('needs-version', { size: 4 }));
    assert.equal(code, 422);
    assert.equal(body.details.causes[0].field, 'metadata.resourceVersion');
  });
  test('an update that changes nothing keeps the resourceVersion', async () => {
    const { body } = await api.post(widgets, widget('same'));
    const again = await api.put(`${widgets}/same`, body);
    assert.equal(again.body.metadata.resourceVersion, body.metadata.resourceVersion);
  });
  test('the name in the body must be that of the path', async () => {
    const { body } = await api.post(`${core}/configmaps`, configMap('path-name'));
    assert.equal(
      (await api.put(`${core}/configmaps/path-name`, { ...body, metadata: { ...body.metadata, name: 'other' } })).code,
      400,
    );
  });
  test('dryRun=All answers and stores nothing', async () => {
    assert.equal((await api.post(`${core}/configmaps?dryRun=All`, configMap('dry'))).code, 201);
    assert.equal((await api.get(`${core}/configmaps/dry`)).code, 404);
  });
  test('delete honours preconditions on uid', async () => {
    const { body } = await api.post(`${core}/configmaps`, configMap('guarded'));
    const wrong = await api.del(`${core}/configmaps/guarded`, { preconditions: { uid: '00000000-0000-0000-0000-000000000000' } });
    assert.equal(wrong.code, 409);
    assert.equal((await api.del(`${core}/configmaps/guarded`, { preconditions: { uid: body.metadata.uid } })).code, 200);
    assert.equal((await api.get(`${core}/configmaps/guarded`)).code, 404);
  });
  test('a finalizer holds a deleted object until it is taken off; new finalizers are refused meanwhile', async () => {
    await api.post(widgets, { ...widget('held'), metadata: { name: 'held', finalizers: ['conformance.test/hold'] } });
    const deleted = await api.del(`${widgets}/held`);
    assert.equal(deleted.code, 200);
    assert.ok(deleted.body.metadata.deletionTimestamp);
    assert.equal(
      (await api.mergePatch(`${widgets}/held`, { metadata: { finalizers: ['conformance.test/hold', 'conformance.test/new'] } }))
        .code,
      422,
    );
    assert.equal((await api.mergePatch(`${widgets}/held`, { metadata: { finalizers: null } })).code, 200);
    assert.equal((await api.get(`${widgets}/held`)).code, 404);
  });
  test('deletecollection deletes what the selector matches', async () => {
    for (const [name, group] of [
      ['dc-1', 'x'],
      ['dc-2', 'x'],
      ['dc-3', 'y'],
    ] as const)
      await api.post(`${core}/configmaps`, configMap(name, {}, { labels: { group } }));
    assert.equal((await api.call('DELETE', `${core}/configmaps?labelSelector=group%3Dx`)).code, 200);
    const left = await api.get(`${core}/configmaps?labelSelector=group`);
    assert.deepEqual(
      left.body.items.map((item: { metadata: { name: string } }) => item.metadata.name),
      ['dc-3'],
    );
  });
  test('stringData of a Secret ends up encoded in data', async () => {
    const { body } = await api.post(`${core}/secrets`, { metadata: { name: 'plain' }, stringData: { key: 'value' } });
    assert.equal(body.data.key, Buffer.from('value').toString('base64'));
    assert.equal(body.type, 'Opaque');
    assert.equal(body.stringData, undefined);
  });
});

describe('list and selectors', () => {
  before(async () => {
    for (let index = 0; index < 7; index++) {
      const labels = { suite: 'list', parity: index % 2 ? 'odd' : 'even', ...(index === 3 ? { special: 'yes' } : {}) };
      await api.post(`${core}/configmaps`, configMap(`list-${index}`, {}, { labels }));
    }
  });
  const names = (answer: { body: { items: { metadata: { name: string } }[] } }) =>
    answer.body.items.map((item) => item.metadata.name);
  const select = (selector: string) => api.get(`${core}/configmaps?labelSelector=${encodeURIComponent(selector)}`);
  test('label selectors: equality, inequality, sets, existence', async () => {
    assert.deepEqual(names(await select('suite=list,parity=odd')), ['list-1', 'list-3', 'list-5']);
    assert.deepEqual(names(await select('suite=list,parity!=odd')), ['list-0', 'list-2', 'list-4', 'list-6']);
    assert.deepEqual(names(await select('suite in (list,other),special')), ['list-3']);
    assert.equal(names(await select('suite,!special')).length, 6);
    assert.equal(names(await select('suite notin (list)')).includes('list-1'), false);
    assert.equal((await select('a b c')).code, 400);
  });
  test('field selectors: name works, unknown fields are 400, selectableFields of a CRD work', async () => {
    assert.deepEqual(names(await api.get(`${core}/configmaps?fieldSelector=metadata.name%3Dlist-2`)), ['list-2']);
    assert.equal((await api.get(`${core}/configmaps?fieldSelector=data.x%3D1`)).code, 400);
    await api.post(widgets, widget('north', { size: 1, region: 'north' }));
    assert.deepEqual(names(await api.get(`${widgets}?fieldSelector=spec.region%3Dnorth`)), ['north']);
  });
  test('limit and continue give one consistent list in pages', async () => {
    const first = await api.get(`${core}/configmaps?labelSelector=suite%3Dlist&limit=3`);
    assert.equal(first.body.items.length, 3);
    await api.del(`${core}/configmaps/list-6`);
    const second = await api.get(
      `${core}/configmaps?labelSelector=suite%3Dlist&limit=10&continue=${encodeURIComponent(first.body.metadata.continue)}`,
    );
    assert.deepEqual([...names(first), ...names(second)], ['list-0', 'list-1', 'list-2', 'list-3', 'list-4', 'list-5', 'list-6']);
    assert.equal(second.body.metadata.resourceVersion, first.body.metadata.resourceVersion);
    assert.equal(second.body.metadata.continue ?? '', '');
  });
  test('a continue token that is none is 400', async () => {
    assert.equal((await api.get(`${core}/configmaps?limit=1&continue=rubbish`)).code, 400);
  });
  test('a list at a resourceVersion of the future is refused', async () => {
    const { code, body } = await api.get(`${core}/configmaps?resourceVersion=999999999999&resourceVersionMatch=NotOlderThan`);
    assert.equal(code, 504);
    assert.match(body.message, /Too large resource version/);
  });
  test('a Table has the printer columns of the CRD', async () => {
    await api.post(widgets, widget('table', { size: 5 }));
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
    const { body } = await api.get(`${widgets}?fieldSelector=metadata.name%3Dtable`, { accept });
    assert.equal(body.kind, 'Table');
    assert.deepEqual(
      body.columnDefinitions.map((column: { name: string }) => column.name),
      ['Name', 'Size', 'Ready', 'Age'],
    );
    assert.deepEqual(body.rows[0].cells.slice(0, 3), ['table', 5, null]);
    assert.equal(body.rows[0].object.kind, 'PartialObjectMetadata');
  });
});

describe('watch', () => {
  test('from a list on, every change comes once and in order', async () => {
    const { body: list } = await api.get(`${core}/configmaps`);
    const { body: made } = await api.post(`${core}/configmaps`, configMap('watched', { n: '1' }));
    await api.mergePatch(`${core}/configmaps/watched`, { data: { n: '2' } });
    await api.del(`${core}/configmaps/watched`);
    const path = `${core}/configmaps?watch=true&resourceVersion=${list.metadata.resourceVersion}&fieldSelector=metadata.name%3Dwatched`;
    const events = await collect(api.watch(path), (seen) => seen.length === 3);
    assert.deepEqual(
      events.map(({ type, object }) => [type, object.data.n]),
      [
        ['ADDED', '1'],
        ['MODIFIED', '2'],
        ['DELETED', '2'],
      ],
    );
    assert.equal(events[0]?.object.metadata.resourceVersion, made.metadata.resourceVersion);
    const versions = events.map(({ object }) => Number(object.metadata.resourceVersion));
    assert.deepEqual(
      versions,
      [...versions].sort((a, b) => a - b),
    );
  });
  test('without resourceVersion the present objects come first', async () => {
    await api.post(`${core}/configmaps`, configMap('present', {}, { labels: { suite: 'present' } }));
    const [event] = await collect(
      api.watch(`${core}/configmaps?watch=true&labelSelector=suite%3Dpresent`),
      (seen) => seen.length === 1,
    );
    assert.equal(event?.type, 'ADDED');
  });
  test('an object that stops matching the selector is DELETED for the watcher, one that starts is ADDED', async () => {
    const { body: list } = await api.get(`${core}/configmaps`);
    await api.post(`${core}/configmaps`, configMap('mover'));
    await api.mergePatch(`${core}/configmaps/mover`, { metadata: { labels: { side: 'in' } } });
    await api.mergePatch(`${core}/configmaps/mover`, { metadata: { labels: { side: 'out' } } });
    const path = `${core}/configmaps?watch=true&resourceVersion=${list.metadata.resourceVersion}&labelSelector=side%3Din`;
    const events = await collect(api.watch(path), (seen) => seen.length === 2);
    assert.deepEqual(
      events.map(({ type }) => type),
      ['ADDED', 'DELETED'],
    );
  });
  test('timeoutSeconds ends the watch; with bookmarks the last word is one', async () => {
    const events = await collect(
      api.watch(`${widgets}?watch=true&timeoutSeconds=3&allowWatchBookmarks=true&labelSelector=none`),
      () => false,
    );
    const last = events.at(-1);
    assert.equal(last?.type, 'BOOKMARK');
    assert.equal(last.object.kind, 'Widget');
    assert.ok(Number(last.object.metadata.resourceVersion) > 0);
  });
  test('sendInitialEvents streams the state and marks its end with an annotated bookmark', async () => {
    await api.post(widgets, { ...widget('initial'), metadata: { name: 'initial', labels: { suite: 'initial' } } });
    const query =
      'watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&labelSelector=suite%3Dinitial';
    const events = await collect(api.watch(`${widgets}?${query}`), (seen) => seen.at(-1)?.type === 'BOOKMARK');
    assert.deepEqual(
      events.map(({ type }) => type),
      ['ADDED', 'BOOKMARK'],
    );
    assert.equal(events[1]?.object.metadata.annotations['k8s.io/initial-events-end'], 'true');
  });
  test('a watch can be had as Tables', async () => {
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    await api.post(widgets, { ...widget('tabled'), metadata: { name: 'tabled', labels: { suite: 'tabled' } } });
    const [event] = await collect(
      api.watch(`${widgets}?watch=true&labelSelector=suite%3Dtabled`, { accept }),
      (seen) => seen.length === 1,
    );
    assert.equal(event?.object.kind, 'Table');
    assert.equal(event.object.rows[0].cells[0], 'tabled');
  });
});

describe('patches', () => {
  test('a merge patch sets, and null removes', async () => {
    await api.post(`${core}/configmaps`, configMap('merge', { a: '1', b: '2' }));
    const { body } = await api.mergePatch(`${core}/configmaps/merge`, { data: { a: null, c: '3' } });
    assert.deepEqual(body.data, { b: '2', c: '3' });
  });
  test('a JSON patch is all or nothing; a failed test is 422', async () => {
    await api.post(`${core}/configmaps`, configMap('json', { a: '1' }));
    const failed = await api.jsonPatch(`${core}/configmaps/json`, [
      { op: 'replace', path: '/data/a', value: '2' },
      { op: 'test', path: '/data/a', value: '9' },
    ]);
    assert.equal(failed.code, 422);
    assert.equal((await api.get(`${core}/configmaps/json`)).body.data.a, '1');
    const { body } = await api.jsonPatch(`${core}/configmaps/json`, [
      { op: 'test', path: '/data/a', value: '1' },
      { op: 'add', path: '/metadata/annotations', value: {} },
      { op: 'add', path: '/metadata/annotations/b~1c', value: '2' },
      { op: 'move', from: '/data/a', path: '/data/d' },
    ]);
    assert.deepEqual([body.data, body.metadata.annotations], [{ d: '1' }, { 'b/c': '2' }]);
  });
  test('a patch that names an old resourceVersion is 409', async () => {
    const { body } = await api.post(`${core}/configmaps`, configMap('patch-version'));
    await api.mergePatch(`${core}/configmaps/patch-version`, { data: { a: '1' } });
    const { code } = await api.mergePatch(`${core}/configmaps/patch-version`, {
      metadata: { resourceVersion: body.metadata.resourceVersion },
      data: { a: '2' },
    });
    assert.equal(code, 409);
  });
  test('a strategic merge patch merges keyed lists of built-in kinds and is 415 for custom ones', async () => {
    const pod = {
      metadata: { name: 'smp' },
      spec: {
        containers: [
          { name: 'a', image: 'x:1' },
          { name: 'b', image: 'y:1' },
        ],
        tolerations: [],
      },
    };
    await api.post(`${core}/pods`, pod);
    const { code, body } = await api.strategicPatch(`${core}/pods/smp`, { spec: { containers: [{ name: 'b', image: 'y:2' }] } });
    assert.equal(code, 200, JSON.stringify(body));
    assert.deepEqual(
      body.spec.containers.map((container: { image: string }) => container.image),
      ['x:1', 'y:2'],
    );
    await api.post(widgets, widget('no-smp'));
    assert.equal((await api.strategicPatch(`${widgets}/no-smp`, { spec: { size: 1 } })).code, 415);
  });
});

describe('custom resources', () => {
  const causes = (answer: { body: { details: { causes: { field: string; reason: string; message: string }[] } } }) =>
    answer.body.details.causes.map(({ field, reason }) => `${field} ${reason}`);
  test('defaults are filled in and unknown fields pruned, with a warning by default', async () => {
    const { code, body, headers } = await api.post(
      `${widgets}?fieldValidation=Warn`,
      widget('defaulted', { size: 3, nonsense: 1 }),
    );
    assert.equal(code, 201);
    assert.deepEqual(body.spec, { size: 3, replicas: 1, mode: 'A' });
    assert.match(String(headers['warning']), /299 - "unknown field \\"spec.nonsense\\""/);
  });
  test('fieldValidation=Strict refuses unknown fields', async () => {
    const { code, body } = await api.post(`${widgets}?fieldValidation=Strict`, widget('strict', { size: 3, nonsense: 1 }));
    assert.equal(code, 400);
    assert.match(body.message, /strict decoding error: unknown field "spec.nonsense"/);
  });
  test('schema errors are 422, each a cause with its field', async () => {
    const wrong = await api.post(widgets, widget('wrong', { size: 11, mode: 'C', tags: ['a', 'a'] }));
    assert.equal(wrong.code, 422);
    assert.equal(wrong.body.reason, 'Invalid');
    const found = causes(wrong);
    for (const cause of ['spec.size FieldValueInvalid', 'spec.mode FieldValueNotSupported', 'spec.tags[1] FieldValueDuplicate'])
      assert.ok(found.includes(cause), `${cause} in ${found.join(', ')}`);
    assert.match(
      wrong.body.message,
      /Widget.conformance.test "wrong" is invalid: .*spec.size in body should be less than or equal to 10/,
    );
  });
  test('a missing field and a wrong type name their path', async () => {
    assert.ok(causes(await api.post(widgets, widget('missing', {}))).includes('spec.size FieldValueRequired'));
    assert.ok(causes(await api.post(widgets, widget('typed', { size: 'big' }))).includes('spec.size FieldValueTypeInvalid'));
  });
  test('CEL rules hold, transition rules on update only', async () => {
    const bounds = await api.post(widgets, widget('bounds', { size: 1, min: 3, max: 2 }));
    assert.equal(bounds.code, 422);
    assert.match(bounds.body.message, /spec: Invalid value: .*min must not exceed max/);
    assert.equal((await api.post(widgets, widget('fixed', { size: 1, region: 'a' }))).code, 201);
    const moved = await api.mergePatch(`${widgets}/fixed`, { spec: { region: 'b' } });
    assert.equal(moved.code, 422);
    assert.match(moved.body.message, /spec.region: Invalid value: "b": region is immutable/);
    assert.equal((await api.mergePatch(`${widgets}/fixed`, { spec: { size: 2 } })).code, 200);
  });
  test('spec changes count generation up, status and metadata changes do not', async () => {
    await api.post(widgets, widget('generation'));
    assert.equal(
      (await api.mergePatch(`${widgets}/generation`, { metadata: { labels: { a: 'b' } } })).body.metadata.generation,
      1,
    );
    assert.equal((await api.mergePatch(`${widgets}/generation/status`, { status: { replicas: 2 } })).body.metadata.generation, 1);
    assert.equal((await api.mergePatch(`${widgets}/generation`, { spec: { size: 4 } })).body.metadata.generation, 2);
  });
  test('status can be written through its subresource only, and nothing else through that', async () => {
    const created = await api.post(widgets, { ...widget('doors'), status: { replicas: 5 } });
    assert.equal(created.body.status, undefined);
    const through = await api.mergePatch(`${widgets}/doors/status`, { spec: { size: 9 }, status: { replicas: 2 } });
    assert.equal(through.body.spec.size, 3);
    assert.equal(through.body.status.replicas, 2);
    const main = await api.mergePatch(`${widgets}/doors`, { status: { replicas: 7 } });
    assert.equal(main.body.status.replicas, 2);
  });
  test('scale reads and writes spec.replicas and shows the selector', async () => {
    await api.post(widgets, widget('scaled'));
    await api.mergePatch(`${widgets}/scaled/status`, { status: { replicas: 1, selector: 'app=x' } });
    const { body: scale } = await api.get(`${widgets}/scaled/scale`);
    assert.equal(scale.kind, 'Scale');
    assert.deepEqual([scale.spec.replicas, scale.status], [1, { replicas: 1, selector: 'app=x' }]);
    assert.equal((await api.mergePatch(`${widgets}/scaled/scale`, { spec: { replicas: 4 } })).body.spec.replicas, 4);
    const { body: current } = await api.get(`${widgets}/scaled/scale`);
    assert.equal((await api.put(`${widgets}/scaled/scale`, { ...current, spec: { replicas: 2 } })).code, 200);
    const { body } = await api.get(`${widgets}/scaled`);
    assert.deepEqual([body.spec.replicas, body.metadata.generation], [2, 3]);
    assert.equal((await api.mergePatch(`${widgets}/scaled/scale`, { spec: { replicas: -1 } })).code, 422);
  });
  test('a CRD is Established with storedVersions; one whose rule does not compile is refused', async () => {
    const { body } = await api.get('/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.conformance.test');
    assert.equal(body.status.conditions.find((condition: { type: string }) => condition.type === 'Established').status, 'True');
    assert.deepEqual(body.status.storedVersions, ['v1']);
    const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-validations': [{ rule: 'unknownFunction(self)' }] } };
    const spec = {
      ...widgetCrd.spec,
      names: { plural: 'bads', kind: 'Bad' },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    };
    const bad = await api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      ...widgetCrd,
      metadata: { name: 'bads.conformance.test' },
      spec,
    });
    assert.equal(bad.code, 422);
    assert.match(bad.body.message, /compil/);
  });
});

describe('server-side apply', () => {
  const applied = (name: string, spec: object) => ({
    apiVersion: 'conformance.test/v1',
    kind: 'Widget',
    metadata: { name },
    spec,
  });
  test('creates, and records exactly the applied fields', async () => {
    const { code, body } = await api.apply(`${widgets}/ssa`, applied('ssa', { size: 3, ports: [{ name: 'a', port: 1 }] }), 'one');
    assert.equal(code, 201, JSON.stringify(body));
    const [entry] = body.metadata.managedFields;
    assert.deepEqual([entry.manager, entry.operation, entry.apiVersion], ['one', 'Apply', 'conformance.test/v1']);
    assert.deepEqual(entry.fieldsV1, {
      'f:spec': { 'f:ports': { 'k:{"name":"a"}': { '.': {}, 'f:name': {}, 'f:port': {} } }, 'f:size': {} },
    });
  });
  test('another manager that changes an owned field gets 409 with the field; force takes it over', async () => {
    await api.apply(`${widgets}/ssa-conflict`, applied('ssa-conflict', { size: 3, mode: 'B' }), 'one');
    const refused = await api.apply(`${widgets}/ssa-conflict`, applied('ssa-conflict', { size: 4 }), 'two');
    assert.equal(refused.code, 409);
    assert.match(refused.body.message, /Apply failed with 1 conflict: conflict with "one": \.spec\.size/);
    assert.deepEqual(
      refused.body.details.causes.map((cause: { reason: string; field: string }) => [cause.reason, cause.field]),
      [['FieldManagerConflict', '.spec.size']],
    );
    const forced = await api.apply(`${widgets}/ssa-conflict`, applied('ssa-conflict', { size: 4 }), 'two', true);
    assert.equal(forced.code, 200);
    const owners = Object.fromEntries(
      forced.body.metadata.managedFields.map((entry: { manager: string; fieldsV1: object }) => [entry.manager, entry.fieldsV1]),
    );
    assert.deepEqual(owners, { one: { 'f:spec': { 'f:mode': {} } }, two: { 'f:spec': { 'f:size': {} } } });
  });
  test('the same value can be owned by two managers', async () => {
    await api.apply(`${widgets}/ssa-shared`, applied('ssa-shared', { size: 3 }), 'one');
    assert.equal((await api.apply(`${widgets}/ssa-shared`, applied('ssa-shared', { size: 3 }), 'two')).code, 200);
  });
  test('a field no longer applied goes when nobody else owns it, and stays when somebody does', async () => {
    const path = `${widgets}/ssa-gone`;
    await api.apply(path, applied('ssa-gone', { size: 3, min: 1, max: 5 }), 'one');
    await api.apply(path, applied('ssa-gone', { size: 3, max: 5 }), 'two');
    const { body } = await api.apply(path, applied('ssa-gone', { size: 3 }), 'one');
    assert.deepEqual([body.spec.min, body.spec.max], [undefined, 5]);
  });
  test('keyed lists merge by item, sets by value, atomic lists as a whole', async () => {
    const path = `${widgets}/ssa-lists`;
    await api.apply(
      path,
      applied('ssa-lists', {
        size: 1,
        ports: [
          { name: 'a', port: 1 },
          { name: 'b', port: 2 },
        ],
        tags: ['x'],
        steps: ['1', '2'],
      }),
      'one',
    );
    const { body } = await api.apply(
      path,
      applied('ssa-lists', {
        size: 1,
        ports: [
          { name: 'c', port: 3 },
          { name: 'a', note: 'n' },
        ],
        tags: ['y'],
      }),
      'two',
    );
    assert.deepEqual(
      body.spec.ports.find((port: { name: string }) => port.name === 'a'),
      { name: 'a', port: 1, note: 'n' },
    );
    assert.equal(body.spec.ports.length, 3);
    assert.deepEqual([...body.spec.tags].sort(), ['x', 'y']);
    const less = await api.apply(path, applied('ssa-lists', { size: 1, ports: [{ name: 'b', port: 2 }], tags: [] }), 'one');
    assert.deepEqual(less.body.spec.ports.map((port: { name: string }) => port.name).sort(), ['a', 'b', 'c']);
    assert.deepEqual(
      less.body.spec.ports.find((port: { name: string }) => port.name === 'a'),
      { name: 'a', note: 'n' },
    );
    assert.deepEqual(less.body.spec.tags, ['y']);
    const steps = await api.apply(path, applied('ssa-lists', { size: 1, steps: ['9'] }), 'three', true);
    assert.deepEqual(steps.body.spec.steps, ['9']);
  });
  test('an update takes over what it changes, so that the applier then conflicts', async () => {
    const path = `${widgets}/ssa-update`;
    await api.apply(path, applied('ssa-update', { size: 3 }), 'one');
    await api.mergePatch(path, { spec: { size: 5 } }, { agent: 'editor/1' });
    const refused = await api.apply(path, applied('ssa-update', { size: 3 }), 'one');
    assert.equal(refused.code, 409);
    assert.match(refused.body.message, /conflict with "editor" using conformance.test\/v1: \.spec\.size/);
  });
  test('applying the same again changes nothing, resourceVersion included', async () => {
    const path = `${widgets}/ssa-same`;
    const first = await api.apply(path, applied('ssa-same', { size: 3 }), 'one');
    const second = await api.apply(path, applied('ssa-same', { size: 3 }), 'one');
    assert.equal(second.body.metadata.resourceVersion, first.body.metadata.resourceVersion);
  });
  test('status is applied through its own door by its own entry', async () => {
    const path = `${widgets}/ssa-status`;
    await api.apply(path, applied('ssa-status', { size: 3 }), 'one');
    const status = { conditions: [{ type: 'Ready', status: 'True' }] };
    const { code, body } = await api.apply(
      `${path}/status`,
      { apiVersion: 'conformance.test/v1', kind: 'Widget', metadata: { name: 'ssa-status' }, status },
      'one',
    );
    assert.equal(code, 200);
    assert.deepEqual(body.status, status);
    assert.equal(body.spec.size, 3);
    assert.equal(
      body.metadata.managedFields.filter((entry: { subresource?: string }) => entry.subresource === 'status').length,
      1,
    );
    const other = { conditions: [{ type: 'Programmed', status: 'True' }] };
    const two = await api.apply(
      `${path}/status`,
      { apiVersion: 'conformance.test/v1', kind: 'Widget', metadata: { name: 'ssa-status' }, status: other },
      'two',
    );
    assert.equal(two.body.status.conditions.length, 2);
  });
  test('it needs a fieldManager and takes YAML', async () => {
    const path = `${widgets}/ssa-yaml`;
    assert.equal(
      (await api.call('PATCH', path, { body: applied('ssa-yaml', { size: 1 }), type: 'application/apply-patch+yaml' })).code,
      422,
    );
    const yaml = 'apiVersion: conformance.test/v1\nkind: Widget\nmetadata: {name: ssa-yaml}\nspec:\n  size: 2\n';
    assert.equal(
      (await api.call('PATCH', `${path}?fieldManager=m`, { body: yaml, type: 'application/apply-patch+yaml' })).body.spec.size,
      2,
    );
  });
  test('labels merge by key, and pods can be applied', async () => {
    const pod = (labels: object) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'ssa-pod', labels },
      spec: { containers: [{ name: 'a', image: 'x:1' }] },
    });
    assert.equal((await api.apply(`${core}/pods/ssa-pod`, pod({ a: '1' }), 'one')).code, 201);
    const labels = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'ssa-pod', labels: { b: '2' } } };
    const { body } = await api.apply(`${core}/pods/ssa-pod`, labels, 'two');
    assert.deepEqual(body.metadata.labels, { a: '1', b: '2' });
  });
});

describe('pods', () => {
  const pod = (name: string, spec: object = {}) => ({
    metadata: { name },
    spec: { containers: [{ name: 'a', image: 'x:1' }], ...spec },
  });
  test('a new pod is Pending with defaults, and its spec is fixed', async () => {
    const { body } = await api.post(`${core}/pods`, pod('fresh'));
    assert.equal(body.status.phase, 'Pending');
    assert.deepEqual([body.spec.restartPolicy, body.spec.terminationGracePeriodSeconds], ['Always', 30]);
    assert.equal((await api.mergePatch(`${core}/pods/fresh`, { spec: { hostNetwork: true } })).code, 422);
  });
  test('a pod without containers is refused', async () => {
    const { code, body } = await api.post(`${core}/pods`, { metadata: { name: 'empty' }, spec: { containers: [] } });
    assert.equal(code, 422);
    assert.equal(body.details.causes[0].field, 'spec.containers');
  });
  test('a bound pod is deleted gracefully: marked first, gone when its agent says so', async () => {
    await api.post(`${core}/pods`, pod('bound', { terminationGracePeriodSeconds: 20 }));
    const binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name: 'bound' },
      target: { apiVersion: 'v1', kind: 'Node', name: 'n1' },
    };
    assert.equal((await api.post(`${core}/pods/bound/binding`, binding)).code, 201);
    assert.deepEqual((await api.get(`${core}/pods?fieldSelector=spec.nodeName%3Dn1`)).body.items.length, 1);
    const { body } = await api.del(`${core}/pods/bound`);
    assert.equal(body.metadata.deletionGracePeriodSeconds, 20);
    assert.ok(body.metadata.deletionTimestamp);
    assert.equal((await api.del(`${core}/pods/bound`, { gracePeriodSeconds: 5 })).body.metadata.deletionGracePeriodSeconds, 5);
    assert.equal((await api.del(`${core}/pods/bound`, { gracePeriodSeconds: 0 })).code, 200);
    assert.equal((await api.get(`${core}/pods/bound`)).code, 404);
  });
});

describe('leases', () => {
  test('microsecond times survive, and writes are guarded by resourceVersion', async () => {
    const leases = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
    const renewTime = '2026-01-02T03:04:05.678901Z';
    const { body } = await api.post(leases, {
      metadata: { name: 'leader' },
      spec: { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime },
    });
    assert.equal(body.spec.renewTime, renewTime);
    assert.equal((await api.put(`${leases}/leader`, { ...body, spec: { ...body.spec, holderIdentity: 'b' } })).code, 200);
    assert.equal((await api.put(`${leases}/leader`, { ...body, spec: { ...body.spec, holderIdentity: 'c' } })).code, 409);
  });
});
