import assert from 'node:assert/strict';
import type http from 'node:http';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createMetrics, realClock } from '@millrace/service';
import { FakeClock } from '@millrace/testkit';
import { createKubeClient, KubeClient } from './client.ts';
import { Informer } from './informer.ts';
import { kubeconfigFor } from './kubeconfig.ts';
import { createKubeMetrics } from './metrics.ts';
import { configMaps, type ConfigMap } from './resources.ts';
import { MemoryApi } from '@millrace/testkit/kube-api';
import { quietLogger } from '@millrace/testkit';
import { json, ScriptedServer, status, type Asked } from '@millrace/testkit/kube-api';

const stops: (() => Promise<void>)[] = [];
after(async () => {
  for (const stop of stops) await stop();
});

const item = (name: string, version: number) => ({
  metadata: { namespace: 'ns', name, uid: name, resourceVersion: `${version}` },
});

type Step = (answer: http.ServerResponse, asked: Asked) => void;

/** A server whose n-th list and n-th watch execute the n-th step; the last step of each is repeated. */
async function follow(steps: { lists: Step[]; watches: Step[] }, options: { inactivityMs?: number } = {}) {
  let lists = 0;
  let watches = 0;
  const server = await ScriptedServer.start((asked, answer) => {
    if (asked.query.get('watch')) steps.watches[Math.min(watches++, steps.watches.length - 1)]!(answer, asked);
    else steps.lists[Math.min(lists++, steps.lists.length - 1)]!(answer, asked);
  });
  const { logger, lines } = quietLogger();
  const metrics = createKubeMetrics(createMetrics({ service: 'test' }));
  const client = createKubeClient({ kubeconfig: kubeconfigFor(server.url), timeoutMs: 500, qps: 10_000, burst: 10_000 });
  const informer = new Informer<ConfigMap>({
    client,
    resource: configMaps,
    logger,
    metrics,
    random: () => 0.5,
    tuning: { pageSize: 2, inactivityMs: options.inactivityMs ?? 10_000, backoff: { baseMs: 2, maxMs: 10 }, shortWatchMs: 50 },
  });
  const told: string[] = [];
  informer.subscribe(
    (change) => void told.push(`${change.type} ${change.object.metadata?.name}@${change.object.metadata?.resourceVersion}`),
  );
  const stop = new AbortController();
  const running = informer.run(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
    client.close();
  };
  stops.push(async () => {
    await end();
    await server.stop();
  });
  return { server, informer, told, lines, metrics, end };
}

/** The same in virtual time, on the in-memory API. */
function followInMemory(random = () => 0) {
  const clock = new FakeClock();
  const api = new MemoryApi({ clock });
  const client = new KubeClient({ transport: api, clock, timeoutMs: 1_000 });
  const informer = new Informer<ConfigMap>({ client, resource: configMaps, logger: quietLogger().logger, random });
  const stop = new AbortController();
  return { clock, api, informer, stop, running: informer.run(stop.signal) };
}

/** Waits for a condition on real sockets; fails with what was observed. */
async function until(what: () => boolean, seen: () => unknown = () => ''): Promise<void> {
  for (const startMs = realClock.now(); !what(); await delay(2)) {
    if (realClock.now() - startMs > 15_000) assert.fail(`timed out: ${what.toString()}; seen ${JSON.stringify(seen())}`);
  }
}

const list =
  (version: number, ...items: object[]): Step =>
  (answer) => {
    json(answer, 200, { metadata: { resourceVersion: `${version}` }, items });
  };
const write = (answer: http.ServerResponse, ...events: object[]): void => {
  for (const event of events) answer.write(`${JSON.stringify(event)}\n`);
};
/** Sends events, then keeps the watch open. */
const hold =
  (...events: object[]): Step =>
  (answer) => {
    answer.writeHead(200).flushHeaders();
    write(answer, ...events);
  };
const drop =
  (...events: object[]): Step =>
  (answer) => {
    hold(...events)(answer, undefined as never);
    setImmediate(() => answer.destroy());
  };
const added = (name: string, version: number): object => ({ type: 'ADDED', object: item(name, version) });
const modified = (name: string, version: number): object => ({ type: 'MODIFIED', object: item(name, version) });
const deleted = (name: string, version: number): object => ({ type: 'DELETED', object: item(name, version) });
const bookmark = (version: number): object => ({ type: 'BOOKMARK', object: { metadata: { resourceVersion: `${version}` } } });
const expired = { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } };

const watchesFrom = (server: ScriptedServer): (string | null)[] =>
  server.asked.filter((asked) => asked.query.get('watch')).map((asked) => asked.query.get('resourceVersion'));
const listsOf = (server: ScriptedServer): number => server.asked.filter((asked) => !asked.query.get('watch')).length;

describe('informer', () => {
  test('lists, then watches from there with bookmarks and a server-side timeout', async () => {
    const { server, told, informer } = await follow({
      lists: [list(5, item('a', 3))],
      watches: [hold(added('b', 6), modified('a', 7), deleted('b', 8))],
    });
    await until(() => told.length === 4);
    assert.deepEqual(told, ['added a@3', 'added b@6', 'updated a@7', 'deleted b@8']);
    assert.deepEqual(
      informer.store.list().map((object) => object.metadata?.name),
      ['a'],
    );
    const { query } = server.asked[1]!;
    assert.deepEqual(Object.fromEntries(query), {
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: '5',
      timeoutSeconds: '450',
    });
  });

  test('has synced once the last page of the first list has arrived, not before', async () => {
    let second: (() => void) | undefined;
    const { informer } = await follow({
      lists: [
        (answer) => {
          json(answer, 200, { metadata: { resourceVersion: '5', continue: 'more' }, items: [item('a', 1), item('b', 2)] });
        },
        (answer) => (second = () => list(5, item('c', 3))(answer, undefined as never)),
      ],
      watches: [hold()],
    });
    await until(() => second !== undefined);
    assert.deepEqual([informer.hasSynced, informer.store.size], [false, 0]);
    second!();
    await informer.whenSynced();
    assert.equal(informer.store.size, 3);
  });

  test('after the server ends a watch, the next one resumes from the last event or bookmark, without a list', async () => {
    const { server, told } = await follow({
      lists: [list(5)],
      watches: [
        (answer) => {
          hold(added('a', 6), bookmark(40))(answer, undefined as never);
          answer.end();
        },
        hold(added('b', 41)),
      ],
    });
    await until(() => told.length === 2);
    assert.deepEqual([watchesFrom(server), listsOf(server)], [['5', '40'], 1]);
  });

  test('a failed watch is followed by a list, because the API may have returned with an older state', async () => {
    const { server, told } = await follow({
      lists: [list(5), list(3, item('b', 2))],
      watches: [drop(added('a', 6)), hold(modified('b', 4))],
    });
    await until(() => told.length === 4);
    assert.deepEqual(told, ['added a@6', 'deleted a@6', 'added b@2', 'updated b@4']);
    assert.deepEqual([watchesFrom(server), listsOf(server)], [['5', '3'], 2]);
  });

  test('the state of an API server restored from a backup wins, even if it reuses known versions for other states', async () => {
    const { clock, api, informer, stop, running } = followInMemory();
    const path = '/api/v1/namespaces/ns/configmaps/a';
    api.put(path, { data: { is: 'old' } });
    const backup = api.snapshot();
    await clock.settle();
    api.put(path, { data: { is: 'lost' } });
    await clock.settle();
    const lost = informer.store.get('ns/a');
    api.restore(backup);
    api.put(path, { data: { is: 'another' } });
    await clock.settle(5_000);
    assert.equal(informer.store.get('ns/a')?.metadata?.resourceVersion, lost?.metadata?.resourceVersion);
    assert.deepEqual([lost?.data, informer.store.get('ns/a')?.data], [{ is: 'lost' }, { is: 'another' }]);
    stop.abort();
    await running;
    assert.equal(clock.pendingTimers, 0);
  });

  test('an API server that returns after a long outage is found within 10 s, and a long watch resets the back-off', async () => {
    const { clock, api, informer, stop, running } = followInMemory(() => 0.99);
    const restart = async (awayMs: number): Promise<void> => {
      api.isDown = true;
      api.cutWatches(new Error('gone'));
      await clock.settle(awayMs);
      api.isDown = false;
    };
    await clock.settle();
    await restart(300_000);
    api.put('/api/v1/namespaces/ns/configmaps/a', {});
    await clock.settle(10_000);
    assert.ok(informer.store.get('ns/a'));
    await clock.settle(20_000);
    await restart(100);
    api.put('/api/v1/namespaces/ns/configmaps/b', {});
    await clock.settle(1_000);
    assert.ok(informer.store.get('ns/b'));
    stop.abort();
    await running;
  });

  test('after a refresh the store is no older than the call, although the watch lags', async () => {
    const { clock, api, informer, stop, running } = followInMemory();
    await clock.settle();
    api.late = true;
    api.put('/api/v1/namespaces/ns/configmaps/a', {});
    await clock.settle(10_000);
    assert.equal(informer.store.size, 0);
    await Promise.all([informer.refresh(stop.signal), clock.settle()]);
    assert.equal(informer.store.size, 1);
    await assert.rejects(informer.refresh(AbortSignal.abort(new Error('enough'))), /enough/);
    stop.abort();
    await running;
    assert.equal(clock.pendingTimers, 0);
  });

  test('410 in the stream leads to a list, which reports the missed deletions', async () => {
    const { server, told } = await follow({
      lists: [list(5, item('a', 1), item('b', 2)), list(90, item('b', 2))],
      watches: [hold(expired), hold(modified('b', 91))],
    });
    await until(
      () => told.length === 4,
      () => told,
    );
    assert.deepEqual(told, ['added a@1', 'added b@2', 'deleted a@1', 'updated b@91']);
    assert.deepEqual(watchesFrom(server), ['5', '90']);
  });

  test('410 as an answer to the watch leads to a list', async () => {
    const { server, told } = await follow({
      lists: [list(5), list(90, item('a', 8))],
      watches: [(answer) => status(answer, 410, 'Expired'), hold()],
    });
    await until(() => told.length === 1);
    await until(() => watchesFrom(server).length === 2);
    assert.deepEqual(watchesFrom(server), ['5', '90']);
  });

  test('any other error event leads to a list', async () => {
    const { server, told } = await follow({
      lists: [list(5), list(90, item('a', 8))],
      watches: [hold({ type: 'ERROR', object: { code: 500, reason: 'InternalError', message: 'etcd' } }), hold()],
    });
    await until(() => told.length === 1);
    assert.equal(listsOf(server), 2);
  });

  test('failed lists are retried until one succeeds', async () => {
    const { told, informer } = await follow({
      lists: [
        (answer) => status(answer, 500, 'InternalError'),
        (answer) => status(answer, 403, 'Forbidden'),
        (answer) => answer.destroy(),
        () => undefined, // no answer at all: the request times out
        (answer) => answer.writeHead(200).end('<html>'),
        list(5, item('a', 1)),
      ],
      watches: [hold()],
    });
    await until(() => informer.hasSynced);
    assert.deepEqual(told, ['added a@1']);
  });

  test('a connection without events and bookmarks is closed', async () => {
    const { server, told } = await follow({ lists: [list(5)], watches: [hold(), hold(added('a', 6))] }, { inactivityMs: 60 });
    await until(() => told.length === 1);
    assert.deepEqual(watchesFrom(server).slice(0, 2), ['5', '5']);
  });

  test('bookmarks alone keep a quiet watch alive', async () => {
    let version = 5;
    const { server, told } = await follow(
      {
        lists: [list(5)],
        watches: [
          (answer) => {
            hold()(answer, undefined as never);
            const timer = setInterval(() => write(answer, bookmark(++version)), 20);
            answer.on('close', () => clearInterval(timer));
            setTimeout(() => write(answer, added('a', 1_000)), 1_200);
          },
        ],
      },
      { inactivityMs: 500 },
    );
    await until(() => told.length === 1);
    assert.equal(watchesFrom(server).length, 1);
  });

  test('a duplicate event is reported once', async () => {
    const { told } = await follow({
      lists: [list(5)],
      watches: [
        hold(added('a', 6), added('a', 6), modified('a', 7), modified('a', 7), deleted('a', 8), deleted('a', 8), added('z', 9)),
      ],
    });
    await until(() => told.at(-1) === 'added z@9');
    assert.deepEqual(told, ['added a@6', 'updated a@7', 'deleted a@8', 'added z@9']);
  });

  test('an event older than the previous one does not bring back a deleted object, but leads to a list', async () => {
    const { told, server } = await follow({
      lists: [list(5), list(9, item('z', 9))],
      watches: [hold(added('a', 6), deleted('a', 8), added('a', 6)), hold()],
    });
    await until(
      () => told.at(-1) === 'added z@9',
      () => told,
    );
    assert.deepEqual(told, ['added a@6', 'deleted a@8', 'added z@9']);
    assert.equal(listsOf(server), 2);
  });

  test('events arrive complete wherever the byte stream is split', async () => {
    const text = [added('ä', 6), modified('ä', 7), deleted('ä', 8)].map((event) => `${JSON.stringify(event)}\n`).join('');
    const { told } = await follow({
      lists: [list(5)],
      watches: [
        (answer) => {
          hold()(answer, undefined as never);
          const bytes = Buffer.from(text);
          void (async () => {
            for (let at = 0; at < bytes.length; at += 17) {
              answer.write(bytes.subarray(at, at + 17));
              if (at % 5 === 0) await delay(1);
            }
          })();
        },
      ],
    });
    await until(() => told.length === 3);
    assert.deepEqual(told, ['added ä@6', 'updated ä@7', 'deleted ä@8']);
  });

  test('an exception of a subscriber is logged and counted, and stops neither the watch nor the others', async () => {
    const { told, informer, lines, metrics } = await follow({ lists: [list(5)], watches: [hold(added('a', 6), added('b', 7))] });
    informer.subscribe(() => {
      throw new Error('my fault');
    });
    await until(() => told.length === 2);
    const logged = lines.filter((line) => line.msg === 'subscriber failed');
    const counted = (await metrics.handlerErrors.get()).values[0]?.value;
    assert.ok(logged.length >= 1 && counted === logged.length, JSON.stringify({ logged, counted }));
  });

  test('a late subscriber receives the existing objects', async () => {
    const { informer } = await follow({ lists: [list(5, item('a', 1))], watches: [hold()] });
    await informer.whenSynced();
    const told: string[] = [];
    informer.subscribe((change) => void told.push(change.type));
    assert.deepEqual(told, ['added']);
  });

  test('reconnecting a hundred times leaves one connection open', async () => {
    const { server, told } = await follow({
      lists: [list(5)],
      watches: [
        ...Array.from({ length: 100 }, (_, i): Step => (answer) => {
          hold(added(`a${i}`, 6 + i))(answer, undefined as never);
          if (i % 2 === 0) setImmediate(() => answer.destroy());
          else answer.end();
        }),
        hold(added('last', 1_000)),
      ],
    });
    await until(() => told.at(-1) === 'added last@1000');
    assert.ok(server.sockets.size <= 2, `${server.sockets.size} connections`);
  });

  test('watches that end at once are reopened with back-off', async () => {
    const { server } = await follow({
      lists: [list(5)],
      watches: [(answer) => answer.writeHead(200).end(`${JSON.stringify(bookmark(5))}\n`)],
    });
    await delay(200);
    assert.ok(server.asked.length < 100, `${server.asked.length} requests in 200 ms`);
  });

  test('stops at once, in the middle of a watch, a list or a back-off', async () => {
    for (const steps of [
      { lists: [list(5)], watches: [hold()] },
      { lists: [() => undefined], watches: [hold()] },
      { lists: [(answer: http.ServerResponse) => status(answer, 500, 'InternalError')], watches: [hold()] },
    ]) {
      const { server, end } = await follow(steps);
      await until(() => server.asked.length > 0);
      const startMs = realClock.now();
      await end();
      assert.ok(realClock.now() - startMs < 2_000);
    }
  });
});
