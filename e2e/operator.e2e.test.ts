import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { mediaEdges, mediaNodes, streamRoutes, type MediaEdge, type MediaNode } from '@millrace/api';
import { createLogger } from '@millrace/service';
import { startOperator, type OperatorHandle } from '@millrace/operator';
import {
  createKubeClient,
  findCondition,
  formatTime,
  isTrue,
  leases,
  loadKubeconfig,
  objectKey,
  podDisruptionBudgets,
  pods,
  refOf,
  type KubeClient,
  type Pod,
} from '@millrace/kube';
import { kubeApis, type KubeApi } from './src/kube-apis.ts';

const NAMESPACE = 'default';
const REPLICA = 'control-0';
/** Watches that broke with the API server reconnect after at most 10 s of back-off; the expected state then takes two or three steps. */
const AFTER_RESTART_MS = 60_000;

for (const { name, start } of kubeApis) describe(`the operator on ${name}`, { timeout: 300_000 }, () => operatorOn(start));

const operatorOptions = {
  controlUrl: 'ws://control:8080/v1/agent',
  mediaNodeImage: 'media-node:test',
  logger: createLogger({ service: 'operator', level: 'error' }),
};

/** The test plays the kubelet (pod status) and control (MediaNode status). */
function operatorOn(start: () => Promise<KubeApi>): void {
  let cluster: KubeApi;
  let client: KubeClient;
  let operator: OperatorHandle;

  before(async () => {
    cluster = await start();
    const kubeconfig = loadKubeconfig({ file: cluster.kubeconfigPath });
    client = createKubeClient({ kubeconfig, qps: 1000, burst: 1000 });
    operator = await startOperator({ ...operatorOptions, kubeconfig });
  });
  after(async () => {
    await operator?.stop();
    client?.close();
    await cluster?.stop();
  });

  const apply = (kind: string, name: string, spec: object): Promise<string> =>
    cluster.kubectlWithInput(
      JSON.stringify({ apiVersion: 'millrace.dev/v1alpha1', kind, metadata: { name, namespace: NAMESPACE }, spec }),
      'apply',
      '-f',
      '-',
    );
  const podsOf = async (edge: string): Promise<Pod[]> =>
    (await client.listAll(pods, { namespace: NAMESPACE, labelSelector: `millrace.dev/edge=${edge}` })).items;
  const edgeNow = (name: string): Promise<MediaEdge> => client.get(mediaEdges, { namespace: NAMESPACE, name });
  const nodeNow = (name: string): Promise<MediaNode> => client.get(mediaNodes, { namespace: NAMESPACE, name });

  /** Writes the statuses that the kubelet and control write for a working node. */
  const serve = async (name: string, sessions: number): Promise<void> => {
    const ready = { type: 'Ready', status: 'True', lastTransitionTime: formatTime(Date.now()) };
    const podStatus = { phase: 'Running', conditions: [ready] };
    const patch = { type: 'merge', patch: { status: podStatus } } as const;
    await client.patch(pods, { namespace: NAMESPACE, name }, patch, { subresource: 'status' });
    const { metadata } = await nodeNow(name);
    const condition = (type: string) => ({
      type,
      status: 'True',
      reason: 'Test',
      message: '',
      lastTransitionTime: formatTime(Date.now()),
    });
    const status = {
      agent: { replica: REPLICA, bootId: 'b', lastReportAt: formatTime(Date.now()) },
      endpoints: { signalingUrl: `http://${name}:8080` },
      load: { sessions, cpuPercent: 5, egressMbps: sessions },
      programmedGeneration: metadata.generation,
      conditions: [condition('AgentConnected')],
    };
    await client.apply(mediaNodes, { metadata: { name, namespace: NAMESPACE }, status } as MediaNode, {
      fieldManager: 'test-control',
      force: true,
      subresource: 'status',
    });
  };
  const removeFromHost = (pod: Pod): Promise<void> => client.delete(pods, refOf(pod), { gracePeriodSeconds: 0 });

  test('an edge becomes its pods, one MediaNode each, and is Ready when they serve', async () => {
    await apply('RelayMesh', 'main', {});
    await apply('MediaEdge', 'alpha', { region: 'eu', roles: ['push', 'pull'], replicas: 2, meshRef: { name: 'main' } });
    const made = await until(
      () => podsOf('alpha'),
      (found) => found.length === 2,
    );
    for (const pod of made) {
      const node = await until(
        () => client.find(mediaNodes, refOf(pod)),
        (found) => found !== undefined,
      );
      assert.equal(node?.spec.pod.uid, pod.metadata?.uid);
      assert.equal(node?.metadata.ownerReferences?.[0]?.name, 'alpha');
      await serve(pod.metadata?.name ?? '', 1);
    }
    await cluster.kubectl('wait', '--for=condition=Ready', '--timeout=20s', 'mediaedge/alpha');
    const { status } = await edgeNow('alpha');
    assert.equal(status?.ready, 2);
    assert.equal(status?.endpoints?.length, 2);
    assert.equal(status?.load?.sessions, 2);
    const budget = await client.get(podDisruptionBudgets, { namespace: NAMESPACE, name: 'alpha-in-use' });
    assert.equal(budget.spec?.maxUnavailable, 0);
    const metrics = await (await fetch(`${operator.opsUrl}/metrics`)).text();
    assert.match(metrics, /millrace_operator_edge_nodes{[^}]*edge="alpha",state="ready"[^}]*} 2/);
  });

  test('kubectl scale drains the node with the fewest sessions, and deletes its pod only when it is empty', async () => {
    const [first, second] = await podsOf('alpha');
    assert.ok(first?.metadata?.name && second?.metadata?.name);
    await serve(first.metadata.name, 5);
    await serve(second.metadata.name, 1);
    await until(
      () => edgeNow('alpha'),
      ({ status }) => status?.load?.sessions === 6,
    );
    await cluster.kubectl('scale', 'mediaedge', 'alpha', '--replicas=1');
    const leaving = second.metadata.name;
    await until(
      () => nodeNow(leaving),
      ({ spec }) => spec.cordoned && spec.drain?.policy === 'Move',
    );
    const { status } = await until(
      () => edgeNow('alpha'),
      (edge) => edge.status?.draining === 1,
    );
    assert.ok(isTrue(status?.conditions, 'Draining'));
    assert.equal((await nodeNow(first.metadata.name)).spec.cordoned, false);
    await serve(leaving, 1);
    await delay(1_500);
    assert.equal(
      (await client.get(pods, refOf(second))).metadata?.deletionTimestamp,
      undefined,
      'must not be deleted with a session',
    );
    await delay(2_500); // reports from the first 3 s of a drain do not count
    await serve(leaving, 0);
    await until(
      () => client.find(pods, refOf(second)),
      (pod) => pod === undefined || pod.metadata?.deletionTimestamp !== undefined,
    );
    await until(
      () => client.find(pods, refOf(second)),
      (pod) => pod === undefined,
    );
    await until(
      () => client.find(mediaNodes, refOf(second)),
      (node) => node === undefined,
    );
  });

  test('a new image is rolled out one node at a time, the new one first', async () => {
    const [old] = await podsOf('alpha');
    await cluster.kubectl('patch', 'mediaedge', 'alpha', '--type=merge', '-p', '{"spec":{"image":"media-node:2"}}');
    const both = await until(
      () => podsOf('alpha'),
      (found) => found.length === 2,
    );
    const fresh = both.find((pod) => objectKey(pod) !== objectKey(old as Pod));
    assert.equal(fresh?.spec?.containers[0]?.image, 'media-node:2');
    await delay(500);
    assert.equal(
      (await nodeNow(refOf(old as Pod).name)).spec.cordoned,
      false,
      'must not be drained before its successor is ready',
    );
    await serve(refOf(fresh).name, 0);
    await until(
      () => nodeNow(refOf(old as Pod).name),
      ({ spec }) => spec.cordoned,
    );
  });

  test('a StreamRoute names a region that is missing', async () => {
    await apply('StreamRoute', 'demo', { streams: ['live/demo'], distribution: { regions: ['mars'] } });
    const route = await until(
      () => client.get(streamRoutes, { namespace: NAMESPACE, name: 'demo' }),
      ({ status }) => findCondition(status?.conditions, 'Ready')?.status === 'False',
    );
    assert.equal(findCondition(route.status?.conditions, 'ResolvedRefs')?.reason, 'RegionNotFound');
    assert.equal(route.status?.policyKey, 'default');
  });

  test('the operator survives a restart of the API server and keeps writing', async () => {
    await cluster.killApiServer();
    await cluster.startApiServer();
    await apply('MediaEdge', 'beta', { region: 'us', roles: ['relay'] });
    await until(
      () => podsOf('beta'),
      (found) => found.length === 1,
    );
  });

  test('deleting an edge drains its nodes first; the finalizer holds it until they are gone', async () => {
    await cluster.kubectl('delete', 'mediaedge', 'beta', '--wait=false');
    // Its only node never served, so it is deleted at once.
    await until(
      () => podsOf('beta'),
      (found) => found.length === 0,
      AFTER_RESTART_MS,
    );
    await until(
      () => client.find(mediaEdges, { namespace: NAMESPACE, name: 'beta' }),
      (edge) => edge === undefined,
      AFTER_RESTART_MS,
    );
    await cluster.kubectl('patch', 'mediaedge', 'alpha', '--type=merge', '-p', '{"spec":{"drain":{"timeoutSeconds":3}}}');
    await cluster.kubectl('delete', 'mediaedge', 'alpha', '--wait=false');
    await until(
      () => edgeNow('alpha'),
      ({ status }) => findCondition(status?.conditions, 'Ready')?.reason === 'Deleting',
      AFTER_RESTART_MS,
    );
    await until(
      () => client.find(mediaEdges, { namespace: NAMESPACE, name: 'alpha' }),
      (edge) => edge === undefined,
      AFTER_RESTART_MS,
    );
    assert.equal((await podsOf('alpha')).filter((pod) => !pod.metadata?.deletionTimestamp).length, 0);
  });

  test('an operator without events writes nothing', async () => {
    await apply('MediaEdge', 'quiet', { region: 'eu', roles: ['pull'] });
    const [pod] = await until(
      () => podsOf('quiet'),
      (found) => found.length === 1,
    );
    await until(
      () => client.find(mediaNodes, refOf(pod as Pod)),
      (node) => node !== undefined,
    );
    await serve(refOf(pod as Pod).name, 0);
    await cluster.kubectl('wait', '--for=condition=Ready', '--timeout=20s', 'mediaedge/quiet');
    await delay(1_000);
    const versions = async (): Promise<unknown[]> => [
      (await edgeNow('quiet')).metadata.resourceVersion,
      (await nodeNow(refOf(pod as Pod).name)).metadata.resourceVersion,
      (await client.get(pods, refOf(pod as Pod))).metadata?.resourceVersion,
    ];
    const before = await versions();
    await delay(5_000);
    assert.deepEqual(await versions(), before);
    await removeFromHost(pod as Pod);
  });

  test('kubectl drain waits until a node is empty: its eviction is refused before, and the operator drains it', async () => {
    await apply('MediaEdge', 'gamma', { region: 'eu', roles: ['pull'] });
    const [pod] = await until(
      () => podsOf('gamma'),
      (found) => found.length === 1,
    );
    const ref = refOf(pod as Pod);
    await until(
      () => client.find(mediaNodes, ref),
      (node) => node !== undefined,
    );
    await cluster.kubectlWithInput(
      JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'host-1' } }),
      'create',
      '-f',
      '-',
    );
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: ref.name }, target: { kind: 'Node', name: 'host-1' } };
    await cluster.kubectlWithInput(
      JSON.stringify(binding),
      'create',
      '--raw',
      `/api/v1/namespaces/${NAMESPACE}/pods/${ref.name}/binding`,
      '-f',
      '-',
    );
    await serve(ref.name, 2);
    await until(
      () => client.get(pods, ref),
      ({ metadata }) => metadata?.labels?.['millrace.dev/in-use'] === 'true',
    );
    const drain = (timeout: string): Promise<string> =>
      cluster.kubectl('drain', 'host-1', '--delete-emptydir-data', '--ignore-daemonsets', '--force', `--timeout=${timeout}`);
    await assert.rejects(drain('4s'), /disruption budget|timed out|timeout/i);
    assert.equal((await client.get(pods, ref)).metadata?.deletionTimestamp, undefined, 'must not be evicted with sessions');
    assert.ok((await nodeNow(ref.name)).spec.drain, 'the operator drains it');
    assert.equal((await podsOf('gamma')).length, 2, 'its replacement is there');
    await serve(ref.name, 0);
    await until(
      () => client.find(pods, ref),
      (found) => found?.metadata?.deletionTimestamp !== undefined || found === undefined,
    );
    await client.delete(pods, ref, { gracePeriodSeconds: 0 }).catch(() => undefined); // plays the kubelet
    await drain('20s');
  });

  test('when the leader stops, another replica takes over at once', async () => {
    const second = await startOperator({ ...operatorOptions, kubeconfig: loadKubeconfig({ file: cluster.kubeconfigPath }) });
    try {
      await delay(1_000);
      assert.deepEqual([operator.isLeading(), second.isLeading()], [true, false]);
      await operator.stop();
      await until(
        () => Promise.resolve(second.isLeading()),
        (leads) => leads,
      );
      await apply('MediaEdge', 'delta', { region: 'eu', roles: ['relay'], replicas: 2 });
      await until(
        () => podsOf('delta'),
        (found) => found.length === 2,
      );
    } finally {
      await second.stop();
    }
    const lease = { namespace: NAMESPACE, name: 'millrace-operator' };
    assert.equal((await client.get(leases, lease)).spec?.holderIdentity ?? '', '', 'the Lease is released');
  });
}

/** Polls until the condition holds; fails with the last observed state. */
async function until<T>(look: () => Promise<T>, isWanted: (seen: T) => boolean, timeoutMs = 20_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (isWanted(seen)) return seen;
    if (Date.now() > deadline)
      assert.fail(`not so after ${timeoutMs} ms: ${isWanted.toString()}; seen ${JSON.stringify(seen).slice(0, 2000)}`);
    await delay(100);
  }
}
