import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { World } from './world.ts';
import { assertRefused, configMap, widget } from './world.ts';

/** "Kubernetes API Concepts": resource URIs, encodings; "API conventions": Status; RFC 9110. */
export function requests(world: World): void {
  const { core, maps, widgets } = world;
  describe('requests', () => {
    test('an unknown token is 401, a request without a token is refused too, health and version need none', async () => {
      assertRefused(await world.api.get(maps, { token: 'nobody-issued-this' }), 401, 'Unauthorized');
      // Where anonymous requests are allowed, they have no rights (--anonymous-auth).
      assert.ok([401, 403].includes((await world.api.get(maps, { token: null })).code));
      for (const path of ['/readyz', '/livez', '/healthz']) {
        const { code, body } = await world.api.get(path, { token: null });
        assert.deepEqual([code, body], [200, 'ok'], path);
      }
      assert.equal((await world.api.get('/version', { token: null })).body.major, '1');
    });
    test('unknown groups, versions, resources, subresources and paths are 404', async () => {
      for (const path of [
        `${core}/gadgets`,
        '/apis/nowhere.test/v1',
        '/apis/conformance.test/v9/widgets',
        `${maps}/x/nothing`,
        '/nowhere',
      ])
        assert.equal((await world.api.get(path)).code, 404, path);
    });
    test('a method that a path does not have is 405', async () => {
      assertRefused(await world.api.put(maps, configMap('x')), 405, 'MethodNotAllowed');
      assertRefused(await world.api.post(`${maps}/x`, configMap('x')), 405, 'MethodNotAllowed');
      assertRefused(await world.api.mergePatch(maps, {}), 405, 'MethodNotAllowed');
      assertRefused(await world.api.del('/api/v1/configmaps'), 405, 'MethodNotAllowed');
    });
    test('a body that is not JSON, of another kind or missing is 400; of another media type 415; too large 413', async () => {
      for (const body of ['{', '[]', '"text"', '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}'])
        assertRefused(await world.api.post(maps, body), 400, 'BadRequest');
      assert.equal((await world.api.post(maps, undefined)).code, 400);
      assertRefused(await world.api.post(maps, 'x', { type: 'text/plain' }), 415, 'UnsupportedMediaType');
      const large = configMap('large', { text: 'x'.repeat(4 * 1024 * 1024) });
      assertRefused(await world.api.post(maps, large), 413, 'RequestEntityTooLarge');
    });
    test('requests and responses may be YAML', async () => {
      const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\ndata:\n  key: value\n';
      assert.equal((await world.api.post(maps, yaml, { type: 'application/yaml' })).code, 201);
      const { headers, body } = await world.api.get(`${maps}/yaml`, { accept: 'application/yaml' });
      assert.equal(headers['content-type'], 'application/yaml');
      assert.match(String(body), /^ {2}key: value$/m);
    });
    test('of several encodings the first supported one is used; an unsupported one is 406', async () => {
      const accept = 'application/vnd.kubernetes.protobuf,application/json';
      await world.api.post(widgets, widget('encoded'));
      const { code, headers } = await world.api.get(`${widgets}/encoded`, { accept });
      assert.deepEqual([code, headers['content-type']], [200, 'application/json']);
      assertRefused(await world.api.get(`${widgets}/encoded`, { accept: 'text/html' }), 406, 'NotAcceptable');
      assert.equal((await world.api.get(`${widgets}/encoded`, { accept: '*/*' })).code, 200);
    });
    test('responses must not be cached', async () => {
      assert.match(String((await world.api.get(maps)).headers['cache-control']), /no-cache, private/);
    });
    test('unknown values of query parameters are refused', async () => {
      assertRefused(await world.api.post(`${maps}?dryRun=Some`, configMap('x')), 422, 'Invalid');
      assertRefused(await world.api.post(`${maps}?fieldValidation=Loose`, configMap('x')), 422, 'Invalid');
      assertRefused(await world.api.post(`${maps}?fieldManager=${'x'.repeat(129)}`, configMap('x')), 422, 'Invalid');
      assertRefused(await world.api.get(`${maps}?limit=many`), 400, 'BadRequest');
      assertRefused(await world.api.get(`${maps}?resourceVersion=soon`), 400, 'BadRequest');
    });
  });
}
