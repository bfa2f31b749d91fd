import assert from 'node:assert/strict';
import dns from 'node:dns';
import { after, describe, mock, test } from 'node:test';
import { realClock } from '@millrace/service';
import { FakeClock } from '@millrace/testkit';
import { createKubeClient, type KubeClientOptions } from './client.ts';
import type { KubeError } from './errors.ts';
import { isConflict, isNotFound, NotLeaderError, outcomeUnknown } from './errors.ts';
import { LeaseFence, type Fence } from './fence.ts';
import { kubeconfigFor } from './kubeconfig.ts';
import { configMaps, namespaces, pods } from './resources.ts';
import { json, ScriptedServer, status, type Script } from '@millrace/testkit/kube-api';

const stops: (() => Promise<void>)[] = [];
after(async () => {
  for (const stop of stops) await stop();
});

async function serve(script: Script, options: Partial<KubeClientOptions> = {}) {
  const server = await ScriptedServer.start(script);
  const client = createKubeClient({ kubeconfig: kubeconfigFor(server.url, { token: 'tell-nobody' }), ...options });
  stops.push(() => {
    client.close();
    return server.stop();
  });
  return { server, client };
}

const never: Script = () => undefined;
const ref = { namespace: 'apps', name: 'one' };
const configMap = (data: Record<string, string> = {}) => ({ metadata: { ...ref }, data });

describe('client', () => {
  test('requests the path of the kind, with the token', async () => {
    const { server, client } = await serve((_asked, answer) => {
      json(answer, 200, { metadata: { name: 'one' } });
    });
    await client.get(configMaps, ref);
    await client.get(namespaces, { name: 'apps' });
    assert.deepEqual(
      server.asked.map((asked) => [asked.method, asked.path, asked.headers.authorization]),
      [
        ['GET', '/api/v1/namespaces/apps/configmaps/one', 'Bearer tell-nobody'],
        ['GET', '/api/v1/namespaces/apps', 'Bearer tell-nobody'],
      ],
    );
  });

  test('each kind of write has its verb, content type and query', async () => {
    const { server, client } = await serve((_asked, answer) => {
      json(answer, 200, {});
    });
    await client.create(configMaps, configMap(), { fieldManager: 'me' });
    await client.update(configMaps, configMap());
    await client.patch(configMaps, ref, { type: 'merge', patch: { data: { a: null } } });
    await client.patch(configMaps, ref, { type: 'json', patch: [{ op: 'remove', path: '/data/a' }] }, { subresource: 'status' });
    await client.apply(configMaps, configMap({ a: 'b' }), { fieldManager: 'me', force: true });
    await client.setScale(configMaps, ref, 3);
    await client.delete(configMaps, ref, { preconditions: { uid: 'u', resourceVersion: '7' }, propagation: 'Background' });
    const path = '/api/v1/namespaces/apps/configmaps';
    assert.deepEqual(
      server.asked.map((asked) => [
        asked.method,
        asked.path,
        asked.query.toString(),
        asked.headers['content-type'],
        JSON.parse(asked.body) as unknown,
      ]),
      [
        ['POST', path, 'fieldManager=me', 'application/json', { ...configMap(), apiVersion: 'v1', kind: 'ConfigMap' }],
        ['PUT', `${path}/one`, '', 'application/json', { ...configMap(), apiVersion: 'v1', kind: 'ConfigMap' }],
        ['PATCH', `${path}/one`, '', 'application/merge-patch+json', { data: { a: null } }],
        ['PATCH', `${path}/one/status`, '', 'application/json-patch+json', [{ op: 'remove', path: '/data/a' }]],
        [
          'PATCH',
          `${path}/one`,
          'fieldManager=me&force=true',
          'application/apply-patch+yaml',
          { ...configMap({ a: 'b' }), apiVersion: 'v1', kind: 'ConfigMap' },
        ],
        ['PATCH', `${path}/one/scale`, '', 'application/merge-patch+json', { spec: { replicas: 3 } }],
        [
          'DELETE',
          `${path}/one`,
          '',
          'application/json',
          {
            apiVersion: 'v1',
            kind: 'DeleteOptions',
            preconditions: { uid: 'u', resourceVersion: '7' },
            propagationPolicy: 'Background',
          },
        ],
      ],
    );
  });

  test('lists all pages, and adds the apiVersion and kind that the API omits', async () => {
    const { server, client } = await serve((asked, answer) => {
      const first = asked.query.get('continue') === null;
      json(answer, 200, {
        metadata: { resourceVersion: '9', ...(first ? { continue: 'more' } : {}) },
        items: [{ metadata: { name: first ? 'a' : 'b' } }],
      });
    });
    const { items, resourceVersion } = await client.listAll(pods, { labelSelector: 'app=x', pageSize: 1 });
    assert.deepEqual(items, [
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } },
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'b' } },
    ]);
    assert.equal(resourceVersion, '9');
    assert.deepEqual(
      server.asked.map((asked) => asked.query.toString()),
      ['labelSelector=app%3Dx&limit=1', 'labelSelector=app%3Dx&limit=1&continue=more'],
    );
  });

  test('a list that expires between two pages is read in one request', async () => {
    const { client } = await serve((asked, answer) => {
      if (asked.query.get('continue')) status(answer, 410, 'Expired');
      else if (asked.query.get('limit'))
        json(answer, 200, { metadata: { resourceVersion: '1', continue: 'x' }, items: [{ metadata: { name: 'old' } }] });
      else json(answer, 200, { metadata: { resourceVersion: '5' }, items: [{ metadata: { name: 'new' } }] });
    });
    const { items, resourceVersion } = await client.listAll(pods);
    assert.deepEqual([items.map((item) => item.metadata?.name), resourceVersion], [['new'], '5']);
  });

  test('a rejected request becomes a KubeError with code, reason and details', async () => {
    const { client } = await serve((_asked, answer) => {
      json(answer, 409, { kind: 'Status', code: 409, reason: 'Conflict', message: 'changed', details: { name: 'one' } });
    });
    await assert.rejects(client.update(configMaps, configMap()), (error: KubeError) => {
      assert.deepEqual([error.code, error.reason, error.details], [409, 'Conflict', { name: 'one' }]);
      assert.ok(isConflict(error) && !isNotFound(error) && !outcomeUnknown(error));
      return true;
    });
  });

  test('find returns undefined for an object that does not exist', async () => {
    const { client } = await serve((_asked, answer) => {
      status(answer, 404, 'NotFound');
    });
    assert.equal(await client.find(configMaps, ref), undefined);
  });

  test('an error answer of a proxy, which is not a Status, becomes a KubeError', async () => {
    const { client } = await serve((_asked, answer) => {
      answer.writeHead(502).end('<html>bad gateway');
    });
    await assert.rejects(client.get(configMaps, ref), { code: 502, reason: 'Unknown', message: /bad gateway/ });
  });

  test('a request without an answer times out, and the outcome of a write is unknown', async () => {
    const { client } = await serve(never);
    await assert.rejects(client.create(configMaps, configMap(), { timeoutMs: 20 }), (error: KubeError) => {
      assert.equal(error.reason, 'Timeout');
      return outcomeUnknown(error);
    });
  });

  test('a refused connection proves that nothing was sent', async () => {
    const { client, server } = await serve(never);
    await server.stop();
    await assert.rejects(client.create(configMaps, configMap()), (error: KubeError) => {
      assert.equal(error.reason, 'ConnectionFailed');
      return !outcomeUnknown(error);
    });
  });

  test('after a connection breaks during a request, the outcome is unknown', async () => {
    const { client } = await serve((_asked, answer) => answer.destroy() && undefined);
    await assert.rejects(client.create(configMaps, configMap()), (error: KubeError) => {
      assert.equal(error.reason, 'ConnectionLost');
      return outcomeUnknown(error);
    });
  });

  test('an abort rejects a request with its reason', async () => {
    const { client } = await serve(never);
    await assert.rejects(client.get(configMaps, ref, { signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' });
  });

  test('a retry honours Retry-After', async () => {
    let tries = 0;
    const { client } = await serve((_asked, answer) => {
      if (++tries < 3) json(answer, 429, {}, { 'retry-after': '0' });
      else json(answer, 200, { metadata: { name: 'one' } });
    });
    await client.get(configMaps, ref);
    assert.equal(tries, 3);
  });

  test('a read is retried when the server closed the keep-alive connection', async () => {
    const { client, server } = await serve((_asked, answer) => {
      json(answer, 200, {});
    });
    await client.get(configMaps, ref);
    for (const socket of server.sockets) socket.resetAndDestroy();
    await client.get(configMaps, ref);
    assert.equal(server.asked.length, 2);
  });

  test('successive requests share one connection', async () => {
    const { client, server } = await serve((_asked, answer) => {
      json(answer, 200, {});
    });
    for (let i = 0; i < 20; i++) await client.get(configMaps, ref);
    assert.equal(server.connections, 1);
  });

  test('requests beyond the burst wait, those of an unlimited client do not', async () => {
    const clock = new FakeClock();
    const { client, server } = await serve(
      (_asked, answer) => {
        json(answer, 200, {});
      },
      { clock, qps: 1, burst: 1 },
    );
    await client.get(configMaps, ref);
    const waiting = client.get(configMaps, ref);
    await client.unlimited().get(configMaps, ref);
    assert.equal(server.asked.length, 2);
    clock.advance(1_000);
    await waiting;
    assert.equal(server.asked.length, 3);
    assert.equal(clock.pendingTimers, 0);
  });

  test('plain http to another machine is refused, with the remedy in the error', () => {
    assert.throws(() => createKubeClient({ kubeconfig: kubeconfigFor('http://10.1.2.3:8080') }), /insecure-skip-tls-verify/);
  });
});

describe('fenced client', () => {
  test('a closed fence lets reads pass and blocks writes', async () => {
    const { client, server } = await serve((_asked, answer) => {
      json(answer, 200, {});
    });
    const fence = new LeaseFence(realClock, realClock.now() + 10_000);
    const fenced = client.fenced(fence);
    await fenced.create(configMaps, configMap());
    fence.close('test');
    await fenced.get(configMaps, ref);
    for (const write of [
      () => fenced.create(configMaps, configMap()),
      () => fenced.update(configMaps, configMap()),
      () => fenced.patch(configMaps, ref, { type: 'merge', patch: {} }),
      () => fenced.apply(configMaps, configMap(), { fieldManager: 'me' }),
      () => fenced.delete(configMaps, ref),
      () => fenced.setScale(configMaps, ref, 1),
    ]) {
      await assert.rejects(write, NotLeaderError);
    }
    assert.deepEqual(
      server.asked.map((asked) => asked.method),
      ['POST', 'GET'],
    );
  });

  test('a write that waits for the rate limit is rejected when the fence closes', async () => {
    const clock = new FakeClock();
    const { client, server } = await serve(
      (_asked, answer) => {
        json(answer, 200, {});
      },
      { clock, qps: 1, burst: 1 },
    );
    const fence = new LeaseFence(clock, 500);
    await client.get(configMaps, ref);
    const write = assert.rejects(client.fenced(fence).create(configMaps, configMap()), NotLeaderError);
    await clock.settle(2_000);
    await write;
    assert.equal(server.asked.length, 1);
    assert.equal(clock.pendingTimers, 0);
  });

  test('a write is not retried after Retry-After when the fence has closed', async () => {
    const clock = new FakeClock();
    const { client, server } = await serve((_asked, answer) => json(answer, 429, {}, { 'retry-after': '5' }), { clock });
    const fence = new LeaseFence(clock, 3_000);
    const write = assert.rejects(client.fenced(fence).create(configMaps, configMap()), NotLeaderError);
    while (server.asked.length === 0 || clock.pendingTimers < 2) await clock.settle(0);
    await clock.settle(6_000);
    await write;
    assert.equal(server.asked.length, 1);
  });

  test('a process paused beyond the deadline finds the fence closed before any timer has run', async () => {
    let nowMs = 0;
    const clock = { ...realClock, now: () => nowMs };
    const { client, server } = await serve(never, { clock });
    const fence = new LeaseFence(clock, 10_000);
    nowMs = 10_000;
    await assert.rejects(client.fenced(fence).create(configMaps, configMap()), NotLeaderError);
    assert.equal(server.asked.length, 0);
  });

  test('a fence that closes during the connection setup stops the write before its first byte', async () => {
    const { server } = await serve(never);
    const { port } = new URL(server.url);
    const client = createKubeClient({ kubeconfig: kubeconfigFor(`http://localhost:${port}`), timeoutMs: 2_000 });
    let closed = false;
    // As after a pause of the process: the fence is closed, but its signal has not aborted because no timer has run.
    const fence: Fence = {
      assertOpen: () => {
        if (closed) throw new NotLeaderError('closed while connecting');
      },
      remainingMs: () => 1_000,
      signal: new AbortController().signal,
    };
    const lookup = mock.method(dns, 'lookup', (_host: string, _options: object, done: (error: null, found: object[]) => void) => {
      setImmediate(() => {
        closed = true;
        done(null, [{ address: '127.0.0.1', family: 4 }]);
      });
    });
    try {
      await assert.rejects(client.fenced(fence).create(configMaps, configMap()), { message: 'closed while connecting' });
    } finally {
      lookup.mock.restore();
      client.close();
    }
    assert.equal(lookup.mock.callCount(), 1, 'the connection was started');
    assert.equal(server.asked.length, 0);
  });
});
