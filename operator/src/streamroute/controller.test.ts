import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mediaNodes, relayMeshes, streamRoutes, type StreamRoute } from '@millrace/api';
import { streamRouteCrd } from '@millrace/api/crds/definitions';
import { compileCrd, type JsonObject } from '@millrace/api/validation';
import { createKubeMetrics, EventRecorder, Informer, KubeClient, LeaseFence, TokenBucket } from '@millrace/kube';
import { createMetrics } from '@millrace/service';
import { FakeClock, quietLogger } from '@millrace/testkit';
import { MemoryApi } from '@millrace/testkit/kube-api';
import { createStreamRouteController } from './controller.ts';

const GROUP = '/apis/millrace.dev/v1alpha1/namespaces/default';
const ROUTES = 10_000;
const crd = compileCrd(streamRouteCrd);

test('with 10,000 StreamRoutes a change reconciles only those that it concerns', async () => {
  const clock = new FakeClock();
  const api = new MemoryApi({ clock });
  api.recording = false;
  const { logger } = quietLogger('error');
  const limiter = new TokenBucket({ clock, qps: 1e9, burst: 1e9 });
  const client = new KubeClient({ transport: api, clock, timeoutMs: 60_000, limiter });
  const metrics = createKubeMetrics(createMetrics({ service: 'test' }));
  const common = { client, logger, random: () => 0.5 };
  const informers = {
    streamRoutes: new Informer({ ...common, resource: streamRoutes }),
    nodes: new Informer({ ...common, resource: mediaNodes }),
    meshes: new Informer({ ...common, resource: relayMeshes }),
  };
  const recorder = new EventRecorder({ ...common, clock, component: 'test' });
  const fence = new LeaseFence(clock, Infinity);
  const controller = createStreamRouteController({ ...informers, ...common, metrics, clock, recorder, fence });
  const reconciled = async (): Promise<number> => {
    const { values } = await metrics.reconcileSeconds.get();
    return values.filter(({ metricName }) => metricName?.endsWith('_count')).reduce((sum, { value }) => sum + value, 0);
  };
  const path = (name: string): string => `${GROUP}/streamroutes/${name}`;
  const put = (name: string, spec: JsonObject, status?: JsonObject): void => {
    const object: JsonObject = { apiVersion: 'millrace.dev/v1alpha1', kind: 'StreamRoute', metadata: { name }, spec };
    crd.applyDefaults(object);
    api.put(path(name), status ? { ...object, status } : object);
  };
  const node = (generation: number, policies: string[] = []): object => ({
    spec: {
      region: 'eu',
      mesh: 'world',
      version: generation,
      routes: policies.map((policy) => ({ originRegion: 'us', policy, paths: [] })),
    },
  });
  api.put(`${GROUP}/relaymeshes/world`, { spec: {} });
  api.put(`${GROUP}/medianodes/n`, node(1));
  for (let i = 0; i < ROUTES; i++) put(`r${i}`, { streams: [`live/${i}-*`] });
  const stop = new AbortController();
  const running = [...Object.values(informers), recorder, controller].map((part) => part.run(stop.signal));
  await clock.settle(1_000);
  await clock.settle(1_000);
  const atFirst = await reconciled();
  assert.ok(atFirst >= ROUTES && atFirst <= 4 * ROUTES, `${atFirst} reconciliations at first`);

  let before = atFirst;
  const since = async (): Promise<number> => {
    await clock.settle(1_000);
    const now = await reconciled();
    const done = now - before;
    before = now;
    return done;
  };
  const stored = (name: string): StreamRoute => api.objects.get(path(name)) as unknown as StreamRoute;
  const stream = { name: 'live/7-a', epoch: 1, origin: { node: 'n', region: 'eu' } };
  api.store.write(path('r7'), { ...stored('r7'), status: { ...stored('r7').status, streams: [stream] } }, 'status');
  const afterStatus = await since();
  assert.ok(afterStatus >= 1 && afterStatus <= 3, `a change of one status: ${afterStatus} reconciliations`);

  api.put(`${GROUP}/medianodes/n`, { ...node(2), status: { programmedGeneration: 2 } });
  const afterAcknowledgement = await since();
  assert.ok(afterAcknowledgement >= 1 && afterAcknowledgement <= 3, `an acknowledgement: ${afterAcknowledgement}`);

  put('r8', { streams: ['live/8-*'], priority: 1 });
  put('high', { streams: ['live/9-*'], priority: 5 });
  const afterSpecs = await since();
  assert.ok(afterSpecs >= 3 && afterSpecs <= 9, `two specs that shadow one route: ${afterSpecs}`);
  const accepted = stored('r9').status?.conditions?.find(({ type }) => type === 'Accepted');
  assert.deepEqual([accepted?.status, accepted?.reason], ['False', 'Conflicted']);

  stop.abort();
  await clock.settle(60_000);
  await Promise.all(running);
});
