import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Answer } from './api-client.ts';
import type { World } from './world.ts';
import { assertRefused, pod, widget } from './world.ts';

interface Entry {
  manager: string;
  operation: string;
  subresource?: string;
  fieldsV1: object;
}
const entriesOf = ({ body }: Answer) => (body.metadata.managedFields ?? []) as Entry[];
const ownersOf = (answer: Answer) => Object.fromEntries(entriesOf(answer).map(({ manager, fieldsV1 }) => [manager, fieldsV1]));
interface Port {
  name: string;
}
const portNames = ({ body }: Answer) => (body.spec.ports as Port[]).map(({ name }) => name);

/** "Server-Side Apply" (KEP-555): managers, conflicts, merge strategies. */
export function apply(world: World): void {
  const { core, maps, pods, widgets } = world;
  const applyWidget = (name: string, spec: object, manager: string, force = false) =>
    world.api.apply(`${widgets}/${name}`, widget(name, spec), manager, force);
  const applyStatus = (name: string, status: object, manager: string, force = false) =>
    world.api.apply(
      `${widgets}/${name}/status`,
      { apiVersion: 'conformance.test/v1', kind: 'Widget', metadata: { name }, status },
      manager,
      force,
    );

  describe('server-side apply', () => {
    test('creates, and records exactly the applied fields', async () => {
      const answer = await applyWidget('ssa', { size: 3, ports: [{ name: 'a', port: 1 }] }, 'one');
      assert.equal(answer.code, 201, JSON.stringify(answer.body));
      const [entry] = answer.body.metadata.managedFields;
      assert.deepEqual(
        [entry.manager, entry.operation, entry.apiVersion, entry.fieldsType],
        ['one', 'Apply', 'conformance.test/v1', 'FieldsV1'],
      );
      assert.deepEqual(entry.fieldsV1, {
        'f:spec': { 'f:ports': { 'k:{"name":"a"}': { '.': {}, 'f:name': {}, 'f:port': {} } }, 'f:size': {} },
      });
    });
    test('another manager that changes an owned field gets 409 with the field; force takes it over', async () => {
      await applyWidget('ssa-conflict', { size: 3, mode: 'B', min: 1 }, 'one');
      const refused = await applyWidget('ssa-conflict', { size: 4 }, 'two');
      assertRefused(refused, 409, 'Conflict', /^Apply failed with 1 conflict: conflict with "one": \.spec\.size$/);
      assert.deepEqual(refused.body.details.causes, [
        { reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.spec.size' },
      ]);
      const two = await applyWidget('ssa-conflict', { size: 4, min: 2 }, 'two');
      assertRefused(
        two,
        409,
        'Conflict',
        /^Apply failed with 2 conflicts: conflicts with "one":\n- \.spec\.min\n- \.spec\.size$/,
      );
      const forced = await applyWidget('ssa-conflict', { size: 4 }, 'two', true);
      assert.equal(forced.code, 200);
      assert.deepEqual(ownersOf(forced), {
        one: { 'f:spec': { 'f:min': {}, 'f:mode': {} } },
        two: { 'f:spec': { 'f:size': {} } },
      });
    });
    test('two managers can own the same value, which is removed only when neither applies it', async () => {
      await applyWidget('ssa-shared', { size: 3, max: 5 }, 'one');
      assert.equal((await applyWidget('ssa-shared', { size: 3, max: 5 }, 'two')).code, 200);
      assert.equal((await applyWidget('ssa-shared', { size: 3 }, 'one')).body.spec.max, 5);
      assert.equal((await applyWidget('ssa-shared', { size: 3 }, 'two')).body.spec.max, undefined);
    });
    test('a field that is no longer applied is removed; one with a default returns to it', async () => {
      await applyWidget('ssa-gone', { size: 3, min: 1, mode: 'B', limits: { a: '1', b: '2' } }, 'one');
      const { body } = await applyWidget('ssa-gone', { size: 3, limits: { b: '2' } }, 'one');
      assert.deepEqual(body.spec, { size: 3, mode: 'A', replicas: 1, limits: { b: '2' } });
    });
    test('keyed lists merge by item, sets by value, atomic lists and maps as a whole', async () => {
      const spec = {
        size: 1,
        ports: [
          { name: 'a', port: 1 },
          { name: 'b', port: 2 },
        ],
        tags: ['x'],
        steps: ['1', '2'],
        reference: { name: 'r', key: 'k' },
      };
      await applyWidget('ssa-lists', spec, 'one');
      const both = await applyWidget(
        'ssa-lists',
        {
          size: 1,
          ports: [
            { name: 'c', port: 3 },
            { name: 'a', note: 'n' },
          ],
          tags: ['y'],
        },
        'two',
      );
      assert.deepEqual(
        both.body.spec.ports.find(({ name }: Port) => name === 'a'),
        { name: 'a', port: 1, note: 'n' },
      );
      assert.deepEqual(
        [portNames(both).sort(), [...both.body.spec.tags].sort()],
        [
          ['a', 'b', 'c'],
          ['x', 'y'],
        ],
      );
      const less = await applyWidget('ssa-lists', { size: 1, ports: [{ name: 'b', port: 2 }], tags: [] }, 'one');
      assert.deepEqual(portNames(less).sort(), ['a', 'b', 'c']);
      assert.deepEqual(
        less.body.spec.ports.find(({ name }: Port) => name === 'a'),
        { name: 'a', note: 'n' },
      );
      assert.deepEqual([less.body.spec.tags, less.body.spec.steps, less.body.spec.reference], [['y'], undefined, undefined]);
    });
    test('parts of an atomic list or map conflict as a whole', async () => {
      await applyWidget('ssa-atomic', { size: 1, steps: ['1', '2'], reference: { name: 'r', key: 'k' } }, 'one');
      const refused = await applyWidget('ssa-atomic', { size: 1, steps: ['1'], reference: { name: 'r' } }, 'two');
      assert.deepEqual(
        refused.body.details.causes.map(({ field }: { field: string }) => field),
        ['.spec.reference', '.spec.steps'],
      );
      const forced = await applyWidget('ssa-atomic', { size: 1, steps: ['9'], reference: { name: 's' } }, 'two', true);
      assert.deepEqual([forced.body.spec.steps, forced.body.spec.reference], [['9'], { name: 's' }]);
    });
    test('a conflict inside a keyed list names the item', async () => {
      await applyWidget('ssa-item', { size: 1, ports: [{ name: 'a', port: 1 }] }, 'one');
      const refused = await applyWidget('ssa-item', { size: 1, ports: [{ name: 'a', port: 2 }] }, 'two');
      assert.deepEqual(
        refused.body.details.causes.map(({ field }: { field: string }) => field),
        ['.spec.ports[name="a"].port'],
      );
    });
    test('a keyed list with a duplicate item or an item without its key is refused', async () => {
      const twice = await applyWidget('ssa-dup', { size: 1, ports: [{ name: 'a' }, { name: 'a' }] }, 'one');
      assert.ok(twice.code >= 400 && twice.code < 600, String(twice.code));
      const keyless = await applyWidget('ssa-dup', { size: 1, ports: [{ port: 1 }] }, 'one');
      assert.ok(keyless.code >= 400 && keyless.code < 600, String(keyless.code));
      assert.equal((await world.api.get(`${widgets}/ssa-dup`)).code, 404);
    });
    test('an object that no manager owns any part of is removed with its defaults', async () => {
      await applyWidget(
        'ssa-whole',
        { size: 1, nested: { other: 'x' }, limits: { a: '1' }, ports: [{ name: 'a' }], free: { x: { y: 1 } } },
        'one',
      );
      assert.equal((await world.api.get(`${widgets}/ssa-whole`)).body.spec.nested.deep, 'd');
      const { body } = await applyWidget('ssa-whole', { size: 1 }, 'one');
      assert.deepEqual(body.spec, { size: 1, mode: 'A', replicas: 1 });
    });
    test('an item that its owner stops applying is removed, even if others have changed it', async () => {
      await applyWidget('ssa-given', { size: 1, ports: [{ name: 'a', port: 1 }, { name: 'b' }] }, 'one');
      await world.api.jsonPatch(`${widgets}/ssa-given`, [{ op: 'replace', path: '/spec/ports/0/port', value: 2 }]);
      const { body } = await applyWidget('ssa-given', { size: 1, ports: [{ name: 'b' }] }, 'one');
      assert.deepEqual(body.spec.ports, [{ name: 'b' }]);
    });
    test('items keep the order in which they are applied, with those of other managers in between', async () => {
      await applyWidget('ssa-order', { size: 1, ports: [{ name: 'a' }, { name: 'b' }] }, 'one');
      assert.deepEqual(portNames(await applyWidget('ssa-order', { size: 1, ports: [{ name: 'c' }, { name: 'b' }] }, 'two')), [
        'a',
        'c',
        'b',
      ]);
      assert.deepEqual(portNames(await applyWidget('ssa-order', { size: 1, ports: [{ name: 'b' }, { name: 'a' }] }, 'one')), [
        'c',
        'b',
        'a',
      ]);
    });
    test('a manager that creates a map or list by an update owns it, not only its contents', async () => {
      await applyWidget('ssa-made', { size: 1 }, 'one');
      const answer = await world.api.mergePatch(
        `${widgets}/ssa-made`,
        { spec: { limits: { a: '1' }, ports: [] } },
        { agent: 'editor/1' },
      );
      assert.deepEqual(ownersOf(answer)['editor'], { 'f:spec': { 'f:limits': { '.': {}, 'f:a': {} }, 'f:ports': {} } });
    });
    test('an update takes over what it changes, so that the applier then conflicts', async () => {
      await applyWidget('ssa-update', { size: 3, min: 1 }, 'one');
      const updated = await world.api.mergePatch(
        `${widgets}/ssa-update`,
        { spec: { size: 5, min: null } },
        { agent: 'editor/1' },
      );
      assert.deepEqual(ownersOf(updated), { editor: { 'f:spec': { 'f:size': {} } } });
      const refused = await applyWidget('ssa-update', { size: 3, min: 1 }, 'one');
      assertRefused(refused, 409, 'Conflict', /conflict with "editor" using conformance\.test\/v1: \.spec\.size$/);
      assert.equal((await applyWidget('ssa-update', { size: 5 }, 'one')).code, 200, 'the same value is no conflict');
    });
    test('applying the same again changes nothing, resourceVersion included', async () => {
      const first = await applyWidget('ssa-same', { size: 3 }, 'one');
      const second = await applyWidget('ssa-same', { size: 3 }, 'one');
      assert.equal(second.body.metadata.resourceVersion, first.body.metadata.resourceVersion);
    });
    test('generation counts only when the spec changes', async () => {
      await applyWidget('ssa-generation', { size: 3 }, 'one');
      assert.equal((await applyWidget('ssa-generation', { size: 3 }, 'two')).body.metadata.generation, 1);
      assert.equal((await applyWidget('ssa-generation', { size: 4 }, 'two', true)).body.metadata.generation, 2);
    });
    test('a managedFields entry that owns nothing is removed', async () => {
      await applyWidget('ssa-empty', { size: 3, min: 1 }, 'one');
      await applyWidget('ssa-empty', { min: 1 }, 'two');
      const { body } = await world.api.apply(
        `${widgets}/ssa-empty`,
        { apiVersion: 'conformance.test/v1', kind: 'Widget', metadata: { name: 'ssa-empty' } },
        'two',
      );
      assert.deepEqual(
        (body.metadata.managedFields as Entry[]).map(({ manager }) => manager),
        ['one'],
      );
      assert.equal(body.spec.min, 1);
    });
    test('status is applied through its subresource, with managedFields entries of its own', async () => {
      await applyWidget('ssa-status', { size: 3 }, 'one');
      const { code, body } = await applyStatus('ssa-status', { conditions: [{ type: 'Ready', status: 'True' }] }, 'one');
      assert.deepEqual([code, body.status.conditions, body.spec.size], [200, [{ type: 'Ready', status: 'True' }], 3]);
      const two = await applyStatus('ssa-status', { conditions: [{ type: 'Programmed', status: 'True' }] }, 'two');
      assert.equal(two.body.status.conditions.length, 2);
      assert.deepEqual(
        entriesOf(two).map(({ manager, subresource }) => [manager, subresource]),
        [
          ['one', undefined],
          ['one', 'status'],
          ['two', 'status'],
        ],
      );
      const refused = await applyStatus('ssa-status', { conditions: [{ type: 'Ready', status: 'False' }] }, 'two');
      assertRefused(
        refused,
        409,
        'Conflict',
        /conflict with "one" with subresource "status": \.status\.conditions\[type="Ready"\]\.status/,
      );
      const again = await applyWidget('ssa-status', { size: 4 }, 'one');
      assert.equal(again.body.status.conditions.length, 2, 'the main resource ignores status');
      const dropped = await applyStatus('ssa-status', {}, 'one');
      assert.deepEqual(dropped.body.status.conditions, [{ type: 'Programmed', status: 'True' }]);
      assertRefused(await applyStatus('ssa-none', {}, 'one'), 404, 'NotFound');
    });
    test('a change through scale is owned by its manager, with subresource scale', async () => {
      await applyWidget('ssa-scale', { size: 3, replicas: 2 }, 'one');
      await world.api.mergePatch(`${widgets}/ssa-scale/scale?fieldManager=scaler`, { spec: { replicas: 5 } });
      const scaled = await world.api.get(`${widgets}/ssa-scale`);
      assert.deepEqual(
        entriesOf(scaled).map(({ manager, operation, subresource }) => [manager, operation, subresource]),
        [
          ['one', 'Apply', undefined],
          ['scaler', 'Update', 'scale'],
        ],
      );
      assertRefused(
        await applyWidget('ssa-scale', { size: 3, replicas: 2 }, 'one'),
        409,
        'Conflict',
        /conflict with "scaler" with subresource "scale"/,
      );
    });
    test('it requires a fieldManager, accepts YAML, and refuses invalid combinations', async () => {
      const path = `${widgets}/ssa-yaml`;
      const type = 'application/apply-patch+yaml';
      assertRefused(
        await world.api.call('PATCH', path, { body: widget('ssa-yaml', { size: 1 }), type }),
        422,
        'Invalid',
        /fieldManager/,
      );
      const yaml = 'apiVersion: conformance.test/v1\nkind: Widget\nmetadata: {name: ssa-yaml}\nspec:\n  size: 2\n';
      assert.equal((await world.api.call('PATCH', `${path}?fieldManager=m`, { body: yaml, type })).body.spec.size, 2);
      const managed = { ...widget('ssa-yaml'), metadata: { name: 'ssa-yaml', managedFields: [] } };
      assertRefused(await world.api.apply(path, managed, 'm'), 400, 'BadRequest', /managedFields must be nil/);
      assertRefused(await world.api.apply(path, { spec: { size: 1 } }, 'm'), 400, 'BadRequest');
      assertRefused(await world.api.apply(path, widget('other'), 'm'), 400, 'BadRequest');
      assertRefused(await world.api.mergePatch(`${path}?force=true`, {}), 422, 'Invalid', /force/);
      const strict = await world.api.call('PATCH', `${path}?fieldManager=m&fieldValidation=Strict`, {
        body: widget('ssa-yaml', { size: 1, nonsense: 1 }),
        type,
      });
      assert.ok(strict.code === 400 || strict.code === 422 || strict.code === 500, String(strict.code));
      assert.match(strict.body.message, /nonsense/);
    });
    test('uid and resourceVersion act as preconditions', async () => {
      const { body } = await applyWidget('ssa-guard', { size: 3 }, 'one');
      const guarded = (metadata: object) =>
        world.api.apply(`${widgets}/ssa-guard`, widget('ssa-guard', { size: 4 }, metadata), 'one');
      assertRefused(
        await guarded({ uid: '00000000-0000-0000-0000-000000000000' }),
        422,
        'Invalid',
        /metadata\.uid: .*field is immutable/,
      );
      assertRefused(await guarded({ resourceVersion: '1' }), 409, 'Conflict');
      assert.equal((await guarded({ uid: body.metadata.uid, resourceVersion: body.metadata.resourceVersion })).code, 200);
      const absent = await world.api.apply(
        `${widgets}/ssa-absent`,
        widget('ssa-absent', { size: 4 }, { uid: body.metadata.uid }),
        'one',
      );
      assertRefused(absent, 409, 'Conflict');
    });
    test('dry run returns the outcome and stores nothing', async () => {
      const path = `${widgets}/ssa-dry?dryRun=All&fieldManager=m`;
      const type = 'application/apply-patch+yaml';
      assert.equal((await world.api.call('PATCH', path, { body: widget('ssa-dry'), type })).code, 201);
      assert.equal((await world.api.get(`${widgets}/ssa-dry`)).code, 404);
      await applyWidget('ssa-dry', { size: 3 }, 'one');
      assertRefused(await world.api.call('PATCH', path, { body: widget('ssa-dry', { size: 4 }), type }), 409, 'Conflict');
    });
    test('an update can clear managedFields', async () => {
      await applyWidget('ssa-reset', { size: 3 }, 'one');
      const { body } = await world.api.mergePatch(
        `${widgets}/ssa-reset`,
        { metadata: { managedFields: [{}] } },
        { agent: 'editor/1' },
      );
      assert.deepEqual(body.metadata.managedFields, undefined);
    });
    test('labels, finalizers and owner references merge, and built-in kinds can be applied', async () => {
      const labelled = (labels: object, finalizers: string[] = []) => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'ssa-map', labels, finalizers },
      });
      await world.api.apply(`${maps}/ssa-map`, { ...labelled({ a: '1' }, ['conformance.test/a']), data: { x: '1' } }, 'one');
      const { body } = await world.api.apply(
        `${maps}/ssa-map`,
        { ...labelled({ b: '2' }, ['conformance.test/b']), data: { y: '2' } },
        'two',
      );
      assert.deepEqual(
        [body.metadata.labels, body.data],
        [
          { a: '1', b: '2' },
          { x: '1', y: '2' },
        ],
      );
      assert.deepEqual([...body.metadata.finalizers].sort(), ['conformance.test/a', 'conformance.test/b']);
      await world.api.mergePatch(`${maps}/ssa-map`, { metadata: { finalizers: null } });
      assert.equal((await world.api.apply(`${pods}/ssa-pod`, pod('ssa-pod'), 'one')).code, 201);
      const refused = await world.api.apply(
        `${pods}/ssa-pod`,
        pod('ssa-pod', { containers: [{ name: 'a', image: 'x:2' }] }),
        'two',
      );
      assertRefused(refused, 409, 'Conflict', /\.spec\.containers\[name="a"\]\.image/);
      assert.equal((await world.api.get(`${core}/pods/ssa-pod`)).body.spec.containers[0].image, 'x:1');
    });
  });
}
