import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '@millrace/testkit';
import { KubeClient } from './client.ts';
import { createController, trigger, type Reconcile } from './controller.ts';
import { NotLeaderError } from './errors.ts';
import { LeaseFence } from './fence.ts';
import { Informer } from './informer.ts';
import { objectKey } from './object.ts';
import { configMaps, type ConfigMap } from './resources.ts';
import { MemoryApi } from '@millrace/testkit/kube-api';
import { quietLogger } from '@millrace/testkit';

const path = '/api/v1/namespaces/ns/configmaps';

function start(
  reconcile: Reconcile,
  options: { fence?: LeaseFence; clock?: FakeClock; mapToKeys?: (object: ConfigMap) => string[] } = {},
) {
  const clock = options.clock ?? new FakeClock();
  const api = new MemoryApi();
  const client = new KubeClient({ transport: api, clock, timeoutMs: 1_000 });
  const { logger, lines } = quietLogger();
  const informer = new Informer<ConfigMap>({ client, resource: configMaps, logger, random: () => 0 });
  const controller = createController({
    name: 'test',
    reconcile,
    watches: [trigger(informer, options.mapToKeys ?? ((object) => [objectKey(object)]))],
    logger,
    fence: options.fence,
    clock,
    random: () => 1,
  });
  const stop = new AbortController();
  let settled = false;
  const running = controller.run(stop.signal).then(() => (settled = true));
  const runInformer = async (): Promise<void> => {
    void informer.run(stop.signal);
    await clock.settle();
  };
  return { clock, api, informer, controller, stop, running, settled: () => settled, runInformer, lines };
}

describe('controller', () => {
  test('reconciles nothing before the cache has synced, then every existing object, then every change', async () => {
    const seen: string[] = [];
    const { clock, api, runInformer, controller } = start(async (key) => void seen.push(key));
    api.put(`${path}/a`, {});
    api.put(`${path}/b`, {});
    controller.enqueue('ns/early');
    await clock.settle();
    assert.deepEqual(seen, []);
    await runInformer();
    assert.deepEqual(seen.sort(), ['ns/a', 'ns/b', 'ns/early']);
    seen.length = 0;
    api.put(`${path}/a`, undefined);
    await clock.settle();
    assert.deepEqual(seen, ['ns/a']);
  });

  test('a change also enqueues the keys of the old state of the object', async () => {
    const seen: string[] = [];
    const { api, runInformer, clock } = start(async (key) => void seen.push(key), {
      mapToKeys: (object) => [object.metadata?.labels?.['edge'] ?? 'none'],
    });
    api.put(`${path}/a`, { metadata: { labels: { edge: 'x' } } });
    await runInformer();
    seen.length = 0;
    api.put(`${path}/a`, { metadata: { labels: { edge: 'y' } } });
    await clock.settle();
    assert.deepEqual(seen.sort(), ['x', 'y']);
  });

  test('a failed reconciliation is logged and retried', async () => {
    let tries = 0;
    const { api, runInformer, clock, lines } = start(async () => {
      if (++tries < 3) throw new Error('not yet');
    });
    api.put(`${path}/a`, {});
    await runInformer();
    await clock.settle(5_000);
    assert.equal(tries, 3);
    const failures = lines.filter((line) => line.msg === 'reconciliation failed').map((line) => line['failures']);
    assert.deepEqual(failures, [1, 2]);
  });

  test('a closed fence stops the controller, aborts running reconciliations and retries nothing', async () => {
    const clock = new FakeClock();
    const fence = new LeaseFence(clock, 1_000);
    let started = 0;
    const { api, runInformer, running } = start(
      async (_key, { signal }) => {
        started++;
        await new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
        );
      },
      { fence, clock },
    );
    api.put(`${path}/a`, {});
    await runInformer();
    await clock.settle(60_000);
    await running;
    assert.equal(started, 1);
    assert.ok(fence.signal.reason instanceof NotLeaderError);
  });

  test('a stop lets running reconciliations finish, and aborts them when they take too long', async () => {
    for (const obedient of [true, false]) {
      const answer = Promise.withResolvers<void>();
      const { api, runInformer, clock, stop, settled } = start(async (_key, { signal }) => {
        signal.addEventListener('abort', () => answer.reject(signal.reason as Error), { once: true });
        await answer.promise;
      });
      api.put(`${path}/a`, {});
      await runInformer();
      stop.abort();
      await clock.settle(5_000);
      assert.equal(settled(), false);
      if (obedient) answer.resolve();
      await clock.settle(5_000);
      assert.deepEqual([settled(), clock.pendingTimers], [true, 0], `obedient: ${obedient}`);
    }
  });

  test('a stop before the caches have synced ends the controller', async () => {
    const { stop, running, clock } = start(() => Promise.reject(new Error('must not be called')));
    stop.abort();
    await running;
    assert.equal(clock.pendingTimers, 0);
  });
});
