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
import { Chance } from './chance.ts';
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

/** An API with pods of somebody else of 5 MB, which the operator's selector takes in too; a list is one page. */
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
  assert.fail(`not within a minute: ${what()}`);
}

describe('the operator on real connections', () => {
  test('lists of 5 MB, whole or cut short or stalled, end in the true state, with few connections and no memory kept', async (t) => {
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
    const isTrue = (): boolean => {
      const shown = informer.store.list().map(({ metadata }) => `${metadata?.name} ${metadata?.resourceVersion}`);
      const stored = api.store.list(PODS).map(([, { metadata }]) => `${metadata.name} ${metadata.resourceVersion}`);
      return shown.sort().join() === stored.sort().join();
    };
    await eventually(isTrue, () => `${informer.store.size} pods in the cache`);
    assert.ok(sockets.bytesSent > 5e6, `a list of ${sockets.bytesSent} bytes`);
    const chance = new Chance(1);
    const heapMib: number[] = [];
    for (let round = 1; round <= 30; round++) {
      sockets.breaks = (request) => {
        const isWatch = request.url?.includes('watch=') === true;
        if (!chance.isTrue(isWatch ? 0.3 : 0.6)) return undefined;
        return { afterBytes: chance.whole(0, isWatch ? 6_000 : 5_000_000), how: chance.pick(['reset', 'reset', 'stall']) };
      };
      api.store.remove(`${PODS}/foreign-${round}`);
      api.put(`${PODS}/foreign-${100 + round}`, foreignPod(round));
      api.compact();
      sockets.resetAll();
      await eventually(isTrue, () => `round ${round}: ${informer.store.size} pods in the cache`);
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

  test('with connections reset and answers cut anywhere it makes each node once, and all of them', async (t) => {
    const { api, sockets } = await bigApi();
    api.put(`${MESHES}/world`, meshOf());
    api.put(`${EDGES}/east`, edgeOf(0, 0));
    let made = 0;
    const own = (): number => api.store.list(PODS).filter(([path]) => path.includes('/east-')).length;
    let most = 0;
    api.store.subscribe(({ type, where }) => {
      if (type === 'ADDED' && where.collection === PODS && where.name.startsWith('east-')) made++;
      most = Math.max(most, own());
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
      () => 'it leads',
    );
    const chance = new Chance(2);
    for (let replicas = 1; replicas <= 6; replicas++) {
      // Answers to writes are lost too: what was done is not known.
      sockets.breaks = () => (chance.isTrue(0.25) ? { afterBytes: chance.whole(0, 3_000), how: 'reset' } : undefined);
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
    assert.deepEqual([made, most], [6, 6], 'pods ever made, and at once');
  });
});
