import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { World } from './world.ts';

interface ApiResource {
  name: string;
  kind: string;
  shortNames?: string[];
  categories?: string[];
  verbs: string[];
  singularName?: string;
  namespaced?: boolean;
}
const aggregated = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';

/** "The Kubernetes API": discovery (plain and aggregated, KEP-3352) and OpenAPI v3 (KEP-2896). */
export function discovery(world: World): void {
  describe('discovery', () => {
    test('a group version names its resources with short names, categories, verbs and subresources', async () => {
      const { body } = await world.api.get('/apis/conformance.test/v1');
      assert.deepEqual([body.kind, body.groupVersion], ['APIResourceList', 'conformance.test/v1']);
      const resources = body.resources as ApiResource[];
      assert.deepEqual(resources.map(({ name }) => name).sort(), ['widgets', 'widgets/scale', 'widgets/status']);
      const widgets = resources.find(({ name }) => name === 'widgets');
      assert.deepEqual(
        [widgets?.kind, widgets?.singularName, widgets?.shortNames, widgets?.categories, widgets?.namespaced],
        ['Widget', 'widget', ['wd'], ['all'], true],
      );
      for (const verb of ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'])
        assert.ok(widgets?.verbs.includes(verb), verb);
      assert.equal(resources.find(({ name }) => name === 'widgets/scale')?.kind, 'Scale');
    });
    test('the core version has the kinds that Millrace needs', async () => {
      const { body } = await world.api.get('/api/v1');
      const names = (body.resources as ApiResource[]).map(({ name }) => name);
      const needed =
        'configmaps events namespaces nodes nodes/status pods pods/binding pods/eviction pods/log pods/status secrets serviceaccounts serviceaccounts/token';
      for (const name of needed.split(' ')) assert.ok(names.includes(name), name);
      assert.deepEqual((await world.api.get('/api')).body.versions, ['v1']);
    });
    test('groups are listed with their versions, the preferred one first', async () => {
      const { body } = await world.api.get('/apis');
      assert.equal(body.kind, 'APIGroupList');
      const group = body.groups.find(({ name }: { name: string }) => name === 'conformance.test');
      assert.deepEqual(
        group.versions.map(({ version }: { version: string }) => version),
        ['v1', 'v1beta1'],
      );
      assert.equal(group.preferredVersion.groupVersion, 'conformance.test/v1');
      const one = await world.api.get('/apis/conformance.test');
      assert.deepEqual([one.body.kind, one.body.name], ['APIGroup', 'conformance.test']);
    });
    test('aggregated discovery returns everything in two responses', async () => {
      const { body, headers } = await world.api.get('/apis', { accept: aggregated });
      assert.match(String(headers['content-type']), /g=apidiscovery\.k8s\.io;v=v2;as=APIGroupDiscoveryList/);
      assert.equal(body.kind, 'APIGroupDiscoveryList');
      const group = body.items.find(({ metadata }: { metadata: { name: string } }) => metadata.name === 'conformance.test');
      const [resource] = group.versions[0].resources;
      assert.deepEqual(
        [group.versions[0].version, resource.resource, resource.responseKind, resource.scope, resource.shortNames],
        ['v1', 'widgets', { group: 'conformance.test', version: 'v1', kind: 'Widget' }, 'Namespaced', ['wd']],
      );
      assert.deepEqual(resource.subresources.map(({ subresource }: { subresource: string }) => subresource).sort(), [
        'scale',
        'status',
      ]);
      const core = await world.api.get('/api', { accept: aggregated });
      assert.ok(core.body.items[0].versions[0].resources.some((found: { resource: string }) => found.resource === 'pods'));
    });
    test('OpenAPI v3 has the schema of a CRD, and declares support for fieldValidation', async () => {
      const index = await world.eventually('/openapi/v3', ({ body }) => body.paths['apis/conformance.test/v1'] !== undefined);
      const path = index.body.paths['apis/conformance.test/v1'].serverRelativeURL as string;
      assert.match(path, /^\/openapi\/v3\/apis\/conformance\.test\/v1\?hash=/);
      const { body } = await world.api.get(path);
      assert.match(body.openapi, /^3\.0/);
      const schema = body.components.schemas['test.conformance.v1.Widget'];
      assert.deepEqual(schema['x-kubernetes-group-version-kind'], [{ group: 'conformance.test', version: 'v1', kind: 'Widget' }]);
      assert.deepEqual(
        [schema.properties.spec.properties.size.maximum, schema.properties.spec.properties.size.description],
        [10, 'How big it is.'],
      );
      const { patch } = body.paths['/apis/conformance.test/v1/namespaces/{namespace}/widgets/{name}'];
      const parameters = patch.parameters.map(({ name }: { name: string }) => name);
      for (const name of ['dryRun', 'fieldManager', 'fieldValidation']) assert.ok(parameters.includes(name), name);
    });
    test('OpenAPI v3 has the built-in kinds', async () => {
      const { body } = await world.api.get('/openapi/v3');
      const core = await world.api.get(body.paths['api/v1'].serverRelativeURL as string);
      const kinds = Object.values(core.body.components.schemas as Record<string, Record<string, { kind: string }[] | undefined>>);
      const known = kinds.flatMap((schema) => schema['x-kubernetes-group-version-kind'] ?? []).map(({ kind }) => kind);
      for (const kind of ['Pod', 'Secret', 'Namespace', 'Event']) assert.ok(known.includes(kind), kind);
    });
  });
}
