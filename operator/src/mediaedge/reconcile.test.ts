import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { mediaEdges, mediaNodes, relayMeshes, type MediaEdge, type MediaNode } from '@millrace/api';
import { mediaEdgeCrd } from '@millrace/api/crds/definitions';
import { compileCrd, type JsonObject } from '@millrace/api/validation';
import { FakeClock } from '@millrace/testkit';
import { EventRecorder, Informer, KubeClient, LeaseFence, leases, nodes, pods, TokenBucket } from '@millrace/kube';
import { quietLogger } from '@millrace/testkit';
import { TrustVerdicts } from '../control-tls/index.ts';
import { ControlReplicas } from '../liveness/control-replicas.ts';
import { createMediaEdgeController, mediaNodeIndexers, podIndexers } from './controller.ts';
import { FINALIZER, LABEL } from './names.ts';
import { MemoryApi } from '@millrace/testkit/kube-api';

const EDGES = '/apis/millrace.dev/v1alpha1/namespaces/default/mediaedges';
const NODES = '/apis/millrace.dev/v1alpha1/namespaces/default/medianodes';
const PODS = '/api/v1/namespaces/default/pods';
const crd = compileCrd(mediaEdgeCrd);

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** The controller on an in-memory API, with a clock that moves only when a test moves it. */
function start() {
  const api = new MemoryApi();
  const clock = new FakeClock();
  const { logger, lines } = quietLogger();
  const limiter = new TokenBucket({ clock, qps: 10_000, burst: 10_000 });
  const client = new KubeClient({ transport: api, clock, timeoutMs: 1_000, limiter });
  const stop = new AbortController();
  let seed = 1;
  const random = (): number => ((seed = (seed * 16807) % 2147483647) - 1) / 2147483646; // Park-Miller: the same names in each run
  const common = { client, logger, random: () => 0.5 };
  const informers = {
    edges: new Informer({ ...common, resource: mediaEdges }),
    pods: new Informer({ ...common, resource: pods, indexers: podIndexers }),
    nodes: new Informer({ ...common, resource: mediaNodes, indexers: mediaNodeIndexers }),
    meshes: new Informer({ ...common, resource: relayMeshes }),
    hosts: new Informer({ ...common, resource: nodes }),
  };
  const leaseInformer = new Informer({ ...common, resource: leases });
  const recorder = new EventRecorder({ ...common, clock, component: 'test' });
  const controller = createMediaEdgeController({
    ...informers,
    client,
    clock,
    logger,
    random,
    recorder,
    fence: new LeaseFence(clock, Infinity),
    replicas: new ControlReplicas(leaseInformer, clock),
    verdicts: new TrustVerdicts(),
    settings: { controlUrl: 'ws://control/v1/agent', defaultImage: 'media-node:1' },
  });
  const running = [...Object.values(informers), controller, recorder].map((part) => part.run(stop.signal));
  stops.push(async () => {
    stop.abort();
    await settle();
    clock.advance(60_000);
    await Promise.all(running);
  });
  const putEdge = (name: string, spec: JsonObject): void => {
    const edge: JsonObject = { apiVersion: 'millrace.dev/v1alpha1', kind: 'MediaEdge', metadata: { name }, spec };
    crd.applyDefaults(edge);
    api.put(`${EDGES}/${name}`, edge);
  };
  const change = (path: string, change: (object: Stored) => object): void => {
    const { resourceVersion: _, ...metadata } = (api.objects.get(path) as unknown as Stored).metadata;
    api.put(path, change({ ...(api.objects.get(path) as unknown as Stored), metadata }));
  };
  const named = <T>(collection: string): T[] =>
    [...api.objects].filter(([path]) => path.startsWith(`${collection}/`)).map(([, object]) => object as unknown as T);
  const count = (method: string, collection: string): number =>
    api.requests.filter((request) => request.method === method && request.path.startsWith(collection)).length;
  return { api, clock, lines, putEdge, change, named, count };
}

interface Stored {
  metadata: { name: string; labels?: Record<string, string>; resourceVersion?: string; finalizers?: string[] };
  spec?: object;
  status?: object;
}

/** Runs everything that does not wait for time to pass. */
async function settle(): Promise<void> {
  for (let i = 0; i < 60; i++) await turn();
}

/** Advances time in small steps, past the waits for late caches. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 100) {
    clock.advance(100);
    await settle();
  }
}

const spec = (more: JsonObject = {}): JsonObject => ({ region: 'eu', roles: ['push', 'pull'], ...more });

describe('the MediaEdge controller', () => {
  test('creates each pod once, with its MediaNode, and adds a finalizer to the edge', async () => {
    const { putEdge, named, clock, count, api } = start();
    putEdge('alpha', spec({ replicas: 3 }));
    await pass(clock, 1_000);
    assert.equal(named<Stored>(PODS).length, 3);
    assert.equal(count('POST', PODS), 3);
    const wanted = named<Stored>(PODS).map(({ metadata }) => metadata.name);
    assert.deepEqual(
      named<Stored>(NODES)
        .map(({ metadata }) => metadata.name)
        .sort(),
      wanted.sort(),
    );
    const edge = api.objects.get(`${EDGES}/alpha`) as unknown as MediaEdge;
    assert.deepEqual(edge.metadata.finalizers, [FINALIZER]);
    assert.equal(edge.status?.selector, 'millrace.dev/edge=alpha');
  });

  test('creates no pod twice while the watches lag', async () => {
    const { putEdge, named, clock, api, change } = start();
    await pass(clock, 200);
    putEdge('alpha', spec({ replicas: 2 }));
    await pass(clock, 500);
    api.late = true;
    change(`${EDGES}/alpha`, (edge) => ({ ...edge, spec: { ...edge.spec, replicas: 3 } }));
    await pass(clock, 5_000);
    api.late = false;
    await pass(clock, 5_000);
    assert.equal(named<Stored>(PODS).length, 3);
  });

  test('creates no pod twice when the response to a creation was lost', async () => {
    const { putEdge, named, clock, api } = start();
    let lost = 0;
    api.faults = {
      fail: (request) => (request.method === 'POST' && request.path.startsWith(PODS) && lost++ === 0 ? 'after' : undefined),
    };
    putEdge('alpha', spec({ replicas: 1 }));
    await pass(clock, 10_000);
    assert.equal(lost, 1);
    assert.equal(named<Stored>(PODS).length, 1);
    assert.equal(named<MediaNode>(NODES).length, 1, 'the pod still got its MediaNode');
  });

  test('creates a pod again when the first creation never reached the server', async () => {
    const { putEdge, named, clock, api } = start();
    let lost = 0;
    api.faults = {
      fail: (request) => (request.method === 'POST' && request.path.startsWith(PODS) && lost++ === 0 ? 'before' : undefined),
    };
    putEdge('alpha', spec({ replicas: 1 }));
    await pass(clock, 90_000);
    assert.equal(named<Stored>(PODS).length, 1);
  });

  test('deletes the MediaNode when its pod is gone, and replaces the pod', async () => {
    const { putEdge, named, clock, api } = start();
    putEdge('alpha', spec({ replicas: 1 }));
    await pass(clock, 500);
    const [pod] = named<Stored>(PODS);
    api.put(`${PODS}/${pod?.metadata.name}`, undefined);
    await pass(clock, 1_000);
    const [successor] = named<Stored>(PODS);
    assert.notEqual(successor?.metadata.name, pod?.metadata.name);
    assert.deepEqual(
      named<Stored>(NODES).map(({ metadata }) => metadata.name),
      [successor?.metadata.name],
    );
  });

  test('a deleted edge whose nodes never served is removed once they are gone', async () => {
    const { putEdge, named, clock, api, change } = start();
    putEdge('alpha', spec({ replicas: 2 }));
    await pass(clock, 500);
    change(`${EDGES}/alpha`, (edge) => ({ ...edge, metadata: { ...edge.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }));
    await pass(clock, 1_000);
    assert.equal(named<Stored>(PODS).length, 0);
    assert.equal(named<Stored>(NODES).length, 0);
    assert.equal(api.objects.get(`${EDGES}/alpha`), undefined);
  });

  test('labels a node that has sessions, so that the API refuses its eviction', async () => {
    const { putEdge, named, clock, change, api } = start();
    putEdge('alpha', spec());
    await pass(clock, 500);
    const name = named<Stored>(PODS)[0]?.metadata.name ?? '';
    change(`${NODES}/${name}`, (node) => ({ ...node, status: { load: { sessions: 2 } } }));
    await pass(clock, 500);
    const labels = (): Record<string, string> | undefined =>
      (api.objects.get(`${PODS}/${name}`) as unknown as Stored).metadata.labels;
    assert.equal(labels()?.[LABEL.inUse], 'true');
    assert.equal(labels()?.[LABEL.edge], 'alpha', 'its other labels stay');
  });

  test('an edge whose pods the API rejects reports it in its conditions and an Event, and recovers when the API accepts them', async () => {
    const { putEdge, named, clock, api } = start();
    let refused = true;
    let events = 0;
    let statuses = 0;
    api.faults = {
      fail: (request) => {
        if (request.method === 'POST' && request.path.includes('/events')) {
          if (request.body?.includes('NodeCreationRefused')) events++;
        }
        if (request.method === 'PATCH' && request.path.includes('/mediaedges/alpha/status')) statuses++;
        if (!refused || request.method !== 'POST' || !request.path.startsWith(PODS)) return undefined;
        const { name } = (JSON.parse(request.body ?? '') as Stored).metadata;
        return { code: 403, reason: 'Forbidden', message: `pods "${name}" is forbidden: exceeded quota` };
      },
    };
    putEdge('alpha', spec({ replicas: 2 }));
    await pass(clock, 5_000);
    const conditions = () =>
      Object.fromEntries(
        (api.objects.get(`${EDGES}/alpha`) as unknown as MediaEdge).status?.conditions?.map((one) => [one.type, one]) ?? [],
      );
    const { Progressing, Ready } = conditions();
    assert.deepEqual([Progressing?.status, Progressing?.reason], ['False', 'NodeCreationRefused']);
    assert.match(Progressing?.message ?? '', /^0 of 2 nodes exist; .*pods "alpha-\*" is forbidden: exceeded quota$/);
    assert.deepEqual([Ready?.status, Ready?.reason], ['False', 'NodeCreationRefused']);
    assert.equal(events, 1, 'one Event for many attempts');
    const before = statuses;
    await pass(clock, 30_000);
    assert.equal(statuses, before, 'the same refusal is not written again');
    refused = false;
    await pass(clock, 120_000);
    assert.equal(named<Stored>(PODS).length, 2);
    assert.notEqual(conditions()['Progressing']?.reason, 'NodeCreationRefused');
  });

  const conditionsOf = (api: MemoryApi, name: string) =>
    Object.fromEntries(
      (api.objects.get(`${EDGES}/${name}`) as unknown as MediaEdge).status?.conditions?.map((one) => [one.type, one]) ?? [],
    );

  test('a MediaNode that the API rejects does not stop the other nodes from getting theirs, and the edge reports it', async () => {
    const { putEdge, named, clock, api, change } = start();
    putEdge('alpha', spec({ replicas: 2 }));
    await pass(clock, 1_000);
    const [refused, other] = named<Stored>(PODS).map(({ metadata }) => metadata.name);
    const message = 'spec.drain.deadline: Invalid value';
    api.faults = {
      fail: (request) =>
        request.method === 'PATCH' && request.path.includes(`/medianodes/${refused}?`)
          ? { code: 422, reason: 'Invalid', message }
          : undefined,
    };
    for (const name of [refused, other])
      change(`${NODES}/${name}`, (node) => ({ ...node, status: { agent: { replica: 'c' }, load: { sessions: 1 } } }));
    change(`${EDGES}/alpha`, (edge) => ({ ...edge, spec: { ...edge.spec, replicas: 0 } }));
    await pass(clock, 2_000);
    const drain = (name: string | undefined) => (api.objects.get(`${NODES}/${name}`) as unknown as MediaNode).spec.drain;
    assert.deepEqual([drain(refused) === undefined, drain(other) === undefined], [true, false]);
    const { Progressing } = conditionsOf(api, 'alpha');
    assert.deepEqual([Progressing?.status, Progressing?.reason], ['False', 'WriteRefused']);
    assert.equal(Progressing?.message, `The API refuses MediaNode ${refused}: PATCH ${NODES}/${refused}: ${message}`);
  });

  test('a node whose drain could not be written is not replaced yet', async () => {
    const { putEdge, named, clock, api, change } = start();
    putEdge('alpha', spec({ replicas: 2 }));
    await pass(clock, 1_000);
    const [{ metadata }] = named<Stored>(PODS) as [Stored];
    change(`${NODES}/${metadata.name}`, (node) => ({ ...node, status: { agent: { replica: 'c' }, load: { sessions: 1 } } }));
    change(`${PODS}/${metadata.name}`, (pod) => ({ ...pod, spec: { ...(pod.spec as object), nodeName: 'host-1' } }));
    let isFailing = true;
    api.faults = {
      fail: ({ method, path }) =>
        isFailing && method === 'PATCH' && path.includes(`/medianodes/${metadata.name}?`)
          ? { code: 409, reason: 'Conflict' }
          : undefined,
    };
    api.put('/api/v1/nodes/host-1', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'host-1' },
      spec: { unschedulable: true },
    });
    await pass(clock, 5_000);
    assert.equal(named<Stored>(PODS).length, 2);
    isFailing = false;
    await pass(clock, 20_000);
    assert.equal(named<Stored>(PODS).length, 3, 'the draining node and two that serve');
  });

  test('an edge to which the finalizer cannot be added reports it and creates no node', async () => {
    const { putEdge, named, clock, api } = start();
    api.faults = {
      fail: (request) =>
        request.method === 'PATCH' && request.path.includes('/mediaedges/alpha?')
          ? { code: 403, reason: 'Forbidden', message: 'mediaedges is forbidden' }
          : undefined,
    };
    putEdge('alpha', spec({ replicas: 1 }));
    await pass(clock, 2_000);
    assert.equal(named<Stored>(PODS).length, 0);
    const { Progressing } = conditionsOf(api, 'alpha');
    assert.deepEqual([Progressing?.status, Progressing?.reason], ['False', 'WriteRefused']);
    assert.match(Progressing?.message ?? '', /finalizer millrace\.dev\/drain: .*mediaedges is forbidden/);
  });

  test('a PodDisruptionBudget that the operator may not create is reported and logged as an error, and status is still written', async () => {
    const { putEdge, clock, api, lines } = start();
    api.faults = {
      fail: (request) =>
        request.method === 'POST' && request.path.includes('/poddisruptionbudgets')
          ? { code: 403, reason: 'Forbidden', message: 'poddisruptionbudgets is forbidden' }
          : undefined,
    };
    putEdge('alpha', spec({ replicas: 1 }));
    await pass(clock, 2_000);
    assert.match(conditionsOf(api, 'alpha')['Progressing']?.message ?? '', /PodDisruptionBudget: .*is forbidden/);
    const logged = lines.filter(({ msg }) => msg === 'reconciliation failed').map(({ level }) => level);
    assert.deepEqual([...new Set(logged)], ['error']);
  });

  test('a TLS Secret that the operator may not read makes ResolvedRefs Unknown and blocks nothing else', async () => {
    const { putEdge, named, clock, api } = start();
    api.faults = {
      fail: (request) =>
        request.path.includes('/secrets/') ? { code: 403, reason: 'Forbidden', message: 'secrets is forbidden' } : undefined,
    };
    putEdge('alpha', spec({ network: { tlsSecretRef: { name: 'tls' } } }));
    await pass(clock, 2_000);
    assert.equal(named<Stored>(PODS).length, 1);
    const { ResolvedRefs } = conditionsOf(api, 'alpha');
    assert.deepEqual([ResolvedRefs?.status, ResolvedRefs?.reason], ['Unknown', 'TlsSecretUnreadable']);
  });

  test('a TLS Secret of another type is named in ResolvedRefs with the remedy, until one of the right type is there', async () => {
    const { putEdge, clock, api } = start();
    const put = (type: string) =>
      api.put('/api/v1/namespaces/default/secrets/tls', { metadata: { name: 'tls', namespace: 'default' }, type });
    put('Opaque');
    putEdge('alpha', spec({ network: { tlsSecretRef: { name: 'tls' } } }));
    await pass(clock, 2_000);
    const { ResolvedRefs } = conditionsOf(api, 'alpha');
    assert.deepEqual([ResolvedRefs?.status, ResolvedRefs?.reason], ['False', 'TlsSecretOfOtherType']);
    assert.match(
      ResolvedRefs?.message ?? '',
      /^Secret tls is of type Opaque, not kubernetes\.io\/tls: .*kubectl create secret tls tls --cert=FILE --key=FILE$/,
    );
    put('kubernetes.io/tls');
    await pass(clock, 60_000);
    assert.equal(conditionsOf(api, 'alpha')['ResolvedRefs']?.status, 'True');
  });

  test('changes nothing of a paused edge', async () => {
    const { putEdge, named, clock, change } = start();
    putEdge('alpha', spec({ replicas: 1 }));
    await pass(clock, 500);
    change(`${EDGES}/alpha`, (edge) => ({
      ...edge,
      metadata: { ...edge.metadata, annotations: { 'millrace.dev/paused': 'true' } },
      spec: { ...edge.spec, replicas: 4 },
    }));
    await pass(clock, 1_000);
    assert.equal(named<Stored>(PODS).length, 1);
  });
});
