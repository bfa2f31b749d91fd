import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { collect } from '@millrace/kube-conformance';
import { ApiUnderTest, startTestServer } from './testing/api-under-test.ts';
import { widgetCrd } from '@millrace/kube-conformance';

// A client with a valid token may be faulty: a bad request must not crash the process, in which the whole network runs.
let api: ApiUnderTest;
const configmaps = '/api/v1/namespaces/default/configmaps';
const widgets = '/apis/conformance.test/v1/namespaces/default/widgets';
before(async () => {
  api = await ApiUnderTest.start();
  await api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', widgetCrd);
});
after(() => api.stop());

const nested = (levels: number, open: string, close: string) => `${open.repeat(levels)}1${close.repeat(levels)}`;

describe('hostile requests', () => {
  test('a client that connects and never completes a request is disconnected, before and after the TLS handshake', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'millrace-api-'));
    const limits = { headersWithinMs: 200, requestWithinMs: 400, tlsHandshakeWithinMs: 200 };
    const server = await startTestServer(dataDir, { limits });
    const ends = async (socket: Socket, text: string) => {
      const answer: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => answer.push(chunk)).on('error', () => undefined);
      socket.write(text);
      await once(socket, 'close');
      return Buffer.concat(answer).toString('latin1');
    };
    try {
      await ends(connect(server.port, '127.0.0.1'), '\x16');
      const secure = () => connectTls({ port: server.port, host: '127.0.0.1', ca: server.ca });
      assert.match(await ends(secure(), 'GET /version HTTP/1.1\r\nHost: x\r\n'), /^HTTP\/1\.1 408 /);
      const body = 'POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n';
      assert.match(await ends(secure(), body), /^HTTP\/1\.1 (200|408) /);
    } finally {
      await server.close();
      rmSync(dataDir, { recursive: true, force: true });
    }
  });

  test('a JSON patch whose copies would double the object again and again is 400', async () => {
    await api.post(configmaps, { metadata: { name: 'bomb', annotations: { a: 'b' } } });
    const copies = Array.from({ length: 40 }, (_, i) => ({ op: 'copy', from: '/metadata', path: `/metadata/annotations/x${i}` }));
    const answer = await api.jsonPatch(`${configmaps}/bomb`, copies);
    assert.equal(answer.code, 400);
    assert.match(answer.body.message, /copy operations of a patch may add at most/);
  });

  for (const [what, open, close] of [
    ['lists', '[', ']'],
    ['objects', '{"a":', '}'],
  ] as const) {
    test(`${what} nested too deep are 400, in a new object and in each kind of patch`, async () => {
      const body = `{"metadata":{"name":"deep"},"data":${nested(100_000, open, close)}}`;
      await api.post(configmaps, { metadata: { name: 'shallow' } });
      for (const [method, path, type] of [
        ['POST', configmaps, 'application/json'],
        ['PATCH', `${configmaps}/shallow`, 'application/merge-patch+json'],
        ['PATCH', `${configmaps}/shallow`, 'application/strategic-merge-patch+json'],
        ['PATCH', `${configmaps}/shallow?fieldManager=me`, 'application/apply-patch+yaml'],
      ] as const) {
        const answer = await api.call(method, path, { body, type });
        assert.equal(answer.code, 400, type);
        assert.match(answer.body.message, /nested deeper than/);
      }
    });
  }

  test('a JSON patch that nests deeper than its own text is 400', async () => {
    await api.post(configmaps, { metadata: { name: 'digger' } });
    const dig = Array.from({ length: 5_000 }, (_, i) => ({ op: 'add', path: `/data${'/a'.repeat(i)}`, value: {} }));
    assert.equal((await api.jsonPatch(`${configmaps}/digger`, dig.slice(0, 1_000))).code, 400);
  });

  test('an invalid path is 400 or 404', async () => {
    const { hostname, port } = new URL(api.url);
    for (const path of ['//', '//x:y@:99999999/', '/api/v1/%zz', 'http://elsewhere/api/v1/pods', '*']) {
      const code = await new Promise<number | undefined>((resolve, reject) => {
        const headers = { authorization: `Bearer ${api.token}` };
        const request = httpsRequest({ hostname, port, path, headers, rejectUnauthorized: false }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        request.on('error', reject);
        request.end();
      });
      assert.ok(code === 400 || code === 404, `${path}: ${code}`);
    }
  });

  test('a watch with a bad timeout is 400, one with an infinite timeout stays open', async () => {
    assert.equal((await api.get(`${configmaps}?watch=true&timeoutSeconds=-1`)).code, 400);
    const watch = api.watch(`${configmaps}?watch=true&timeoutSeconds=99999999999`);
    const seen = collect(watch, (events) => events.some(({ object }) => object.metadata.name === 'late'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await api.post(configmaps, { metadata: { name: 'late' } });
    assert.equal((await seen).at(-1)?.object.metadata.name, 'late');
  });

  test('labels named like properties of JavaScript objects are matched only when they are set', async () => {
    await api.post(widgets, {
      apiVersion: 'conformance.test/v1',
      kind: 'Widget',
      metadata: { name: 'plain' },
      spec: { size: 1 },
    });
    for (const selector of ['constructor', 'toString in (x,)', 'hasOwnProperty'])
      assert.deepEqual((await api.get(`${widgets}?labelSelector=${encodeURIComponent(selector)}`)).body.items, [], selector);
  });
});
