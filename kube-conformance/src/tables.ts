import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { World } from './world.ts';
import { pod, widget } from './world.ts';

const table = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
const partial = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json';
const partialList = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json';

/** "API concepts": receiving resources as Tables, metadata-only; "CustomResourceDefinition": additional printer columns. */
export function tables(world: World): void {
  const { pods, widgets } = world;
  describe('response formats', () => {
    test('a Table has the printer columns of the CRD, wide ones with their priority', async () => {
      await world.api.post(widgets, widget('table', { size: 5 }));
      await world.api.mergePatch(`${widgets}/table/status`, { status: { conditions: [{ type: 'Ready', status: 'True' }] } });
      const { body } = await world.api.get(`${widgets}?fieldSelector=metadata.name%3Dtable`, { accept: table });
      assert.deepEqual([body.kind, body.apiVersion], ['Table', 'meta.k8s.io/v1']);
      assert.deepEqual(
        body.columnDefinitions.map(({ name, type, priority }: Record<string, unknown>) => [name, type, priority]),
        [
          ['Name', 'string', 0],
          ['Size', 'integer', 0],
          ['Ready', 'string', 0],
          ['Mode', 'string', 1],
          ['Age', 'date', 0],
        ],
      );
      assert.deepEqual(body.rows[0].cells.slice(0, 4), ['table', 5, 'True', 'A']);
      assert.match(body.rows[0].cells[4], /^\d+[smh]/);
      assert.deepEqual([body.rows[0].object.kind, body.rows[0].object.metadata.name], ['PartialObjectMetadata', 'table']);
      assert.ok(Number(body.metadata.resourceVersion) > 0);
    });
    test('a column whose field is absent has an empty cell', async () => {
      await world.api.post(widgets, widget('bare', { size: 2 }));
      const { body } = await world.api.get(`${widgets}/bare`, { accept: table });
      assert.deepEqual(body.rows[0].cells.slice(0, 3), ['bare', 2, null]);
    });
    test('includeObject selects what each row contains', async () => {
      const kinds = async (include: string) =>
        (await world.api.get(`${widgets}/table?includeObject=${include}`, { accept: table })).body.rows[0].object?.kind;
      assert.deepEqual(
        [await kinds('Object'), await kinds('Metadata'), await kinds('None')],
        ['Widget', 'PartialObjectMetadata', undefined],
      );
    });
    test('Tables are paginated too', async () => {
      const { body } = await world.api.get(`${widgets}?limit=1`, { accept: table });
      assert.equal(body.rows.length, 1);
      assert.ok(body.metadata.continue);
    });
    test('pods have the usual columns', async () => {
      await world.api.post(pods, pod('row'));
      const { body } = await world.api.get(`${pods}/row`, { accept: table });
      const columns = body.columnDefinitions.map(({ name }: { name: string }) => name) as string[];
      assert.deepEqual(columns.slice(0, 7), ['Name', 'Ready', 'Status', 'Restarts', 'Age', 'IP', 'Node']);
      assert.deepEqual(body.rows[0].cells.slice(0, 3), ['row', '0/1', 'Pending']);
      assert.equal(String(body.rows[0].cells[3]), '0');
    });
    test('metadata alone can be requested for one object and for lists', async () => {
      const { body: one } = await world.api.get(`${widgets}/table`, { accept: partial });
      assert.deepEqual([one.kind, one.apiVersion, one.spec], ['PartialObjectMetadata', 'meta.k8s.io/v1', undefined]);
      const { body: many } = await world.api.get(`${widgets}?limit=1`, { accept: partialList });
      assert.deepEqual(
        [many.kind, many.items[0].kind, many.items[0].spec],
        ['PartialObjectMetadataList', 'PartialObjectMetadata', undefined],
      );
    });
  });
}
