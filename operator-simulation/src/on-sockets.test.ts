import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { realClock } from '@millrace/service';
import { createKubeClient, Informer, pods, type Pod } from '@millrace/kube';
import { kubeconfigFor } from '@millrace/kube';
import { ApiOnSockets } from '@millrace/testkit/kube-api';
import { MemoryApi } from '@millrace/testkit/kube-api';
import { quietLogger } from '@millrace/testkit';
import { startOperator } from '@millrace/operator';
import { RandomSource } from './random.ts';
import { SETTINGS } from './operator-process.ts';
import { EDGES, MEDIA_NODES, MESHES, PODS } from './paths.ts';
import { edgeOf, meshOf } from './resources.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;
const { logger } = quietLogger('silent');

const stops: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const stop of stops.reverse()) await stop();
});

const FOREIGN_PODS = 1_100;
const PAD = 'x'.repeat(4_500);

/** An API with 5 MB of pods that the operator did not create but its selector matches; a list is one page. */
async function bigApi(): Promise<{ api: MemoryApi; sockets: ApiOnSockets }> {
  const api = new MemoryApi({ clock: realClock });
  api.recording = false;
  api.faults = { pageSize: Infinity };
  for (let i = 0; i < FOREIGN_PODS; i++) api.put(`${PODS}/foreign-${i}`, foreignPod(0));
  const sockets = await ApiOnSockets.start(api);
  stops.push(() => sockets.stop());
  return { api, sockets };
}

function foreignPod(generation: number): object {
  return { metadata: { labels: { 'millrace.dev/edge': 'foreign' }, annotations: { generation: `${generation}`, pad: PAD } } };
}

async function eventually(condition: () => boolean, what: () => string): Promise<void> {
  for (let i = 0; i < 2_400; i++) {
    if (condition()) return;
    await delay(25);
  }
  assert.fail(`not reached within a minute: ${what()}`);
}

describe('the operator on real connections', () => {
  test('after lists of 5 MB that are truncated or stall, the cache is correct, with few connections and no memory leak', async (t) => {
    const { api, sockets } = await bigApi();
    const client = createKubeClient({ kubeconfig: kubeconfigFor(sockets.url), timeoutMs: 1_000, qps: 10_000, burst: 10_000 });
    const tuning = { backoff: { baseMs: 2, maxMs: 10 }, inactivityMs: 1_000 };
    const informer = new Informer<Pod>({ client, resource: pods, logger, random: Math.random, tuning });
    const stop = new AbortController();
    const running = informer.run(stop.signal);
    stops.push(async () => {
      stop.abort();
      await running;
      client.close();
    });
    const isCacheCorrect = (): boolean => {
      const shown = informer.store.list().map(({ metadata }) => `${metadata?.name} ${metadata?.resourceVersion}`);
      const stored = api.store.list(PODS).map(([, { metadata }]) => `${metadata.name} ${metadata.resourceVersion}`);
      return shown.sort().join() === stored.sort().join();
    };
    await eventually(isCacheCorrect, () => `${informer.store.size} pods in the cache`);
    assert.ok(sockets.bytesSent > 5e6, `a list of ${sockets.bytesSent} bytes`);
    const random = new RandomSource(1);
    const heapMib: number[] = [];
    for (let round = 1; round <= 30; round++) {
      sockets.breaks = (request) => {
        const isWatch = request.url?.includes('watch=') === true;
        if (!random.boolean(isWatch ? 0.3 : 0.6)) return undefined;
        return { afterBytes: random.integer(0, isWatch ? 6_000 : 5_000_000), how: random.pick(['reset', 'reset', 'stall']) };
      };
      api.store.remove(`${PODS}/foreign-${round}`);
      api.put(`${PODS}/foreign-${100 + round}`, foreignPod(round));
      api.compact();
      sockets.resetAll();
      await eventually(isCacheCorrect, () => `round ${round}: ${informer.store.size} pods in the cache`);
      gc();
      if (round % 10 === 0) heapMib.push(process.memoryUsage().heapUsed / 2 ** 20);
      assert.ok(sockets.connections <= 4, `${sockets.connections} connections`);
    }
    t.diagnostic(
      JSON.stringify({
        requests: sockets.requests,
        mb: Math.round(sockets.bytesSent / 1e6),
        heapMib: heapMib.map((mib) => Math.round(mib)),
      }),
    );
    assert.ok(
      heapMib[2]! - heapMib[0]! < 12,
      `heap after each 10 rounds: ${heapMib.map((mib) => Math.round(mib)).join(', ')} MiB`,
    );
  });

  test('with connections reset and answers truncated anywhere, it creates every node exactly once', async (t) => {
    const { api, sockets } = await bigApi();
    api.put(`${MESHES}/world`, meshOf());
    api.put(`${EDGES}/east`, edgeOf(0, 0));
    let created = 0;
    const own = (): number => api.store.list(PODS).filter(([path]) => path.includes('/east-')).length;
    let maxPods = 0;
    api.store.subscribe(({ type, where }) => {
      if (type === 'ADDED' && where.collection === PODS && where.name.startsWith('east-')) created++;
      maxPods = Math.max(maxPods, own());
    });
    const operator = await startOperator({
      kubeconfig: kubeconfigFor(sockets.url),
      leaseNamespace: 'sys',
      controlUrl: SETTINGS.controlUrl,
      mediaNodeImage: SETTINGS.defaultImage,
      watchHosts: false,
      logger,
    });
    stops.push(() => operator.stop());
    await eventually(
      () => operator.isLeading(),
      () => 'the operator does not lead',
    );
    const random = new RandomSource(2);
    for (let replicas = 1; replicas <= 6; replicas++) {
      // Answers to writes are lost too, so that their outcome is unknown.
      sockets.breaks = () => (random.boolean(0.25) ? { afterBytes: random.integer(0, 3_000), how: 'reset' } : undefined);
      const edge = api.objects.get(`${EDGES}/east`)!;
      api.store.write(`${EDGES}/east`, { ...edge, spec: { ...edge.spec, replicas } }, 'main');
      if (replicas % 2 === 0) sockets.resetAll();
      await delay(700);
    }
    sockets.breaks = () => undefined;
    const mediaNodes = (): number => api.store.list(MEDIA_NODES).length;
    await eventually(
      () => own() === 6 && mediaNodes() === 6,
      () => `${own()} pods and ${mediaNodes()} MediaNodes of 6`,
    );
    t.diagnostic(JSON.stringify({ requests: sockets.requests, mb: Math.round(sockets.bytesSent / 1e6) }));
    assert.deepEqual([created, maxPods], [6, 6], 'pods created in total, and the maximum at once');
  });
});
