import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import {
  mediaEdges,
  mediaNodes,
  relayMeshes,
  streamRoutes,
  type Condition,
  type MediaNode,
  type RelayMesh,
  type Role,
} from '@millrace/api';
import { mediaEdgeCrd, mediaNodeCrd, relayMeshCrd, streamRouteCrd } from '@millrace/api/crds/definitions';
import { compileCrd, type JsonObject } from '@millrace/api/validation';
import { FakeClock } from '@millrace/testkit';
import { EventRecorder, Informer, KubeClient, LeaseFence, leases, TokenBucket } from '@millrace/kube';
import { ApiFailure } from '@millrace/testkit/kube-api';
import { MemoryApi, type Faults, type Stored } from '@millrace/testkit/kube-api';
import { quietLogger } from '@millrace/testkit';
import { ControlReplicas } from '../liveness/control-replicas.ts';
import { createRelayMeshController } from './controller.ts';

const GROUP = '/apis/millrace.dev/v1alpha1/namespaces/default';
const crds = {
  mediaedges: compileCrd(mediaEdgeCrd),
  medianodes: compileCrd(mediaNodeCrd),
  relaymeshes: compileCrd(relayMeshCrd),
  streamroutes: compileCrd(streamRouteCrd),
};

/** Rejects what the CRDs reject, with the reason that kube-apiserver gives. */
function validate(path: string, body: Stored, stored: Stored | undefined): void {
  const crd = crds[path.split('/').at(-2) as keyof typeof crds];
  if (!crd) return;
  const object = {
    ...stored,
    ...body,
    metadata: { name: path.split('/').at(-1) },
    spec: { ...stored?.spec, ...body.spec },
    ...(body.status || stored?.status ? { status: body.status ?? stored?.status } : {}),
  };
  const [error] = crd.validate(object as JsonObject);
  if (error) throw new ApiFailure(422, 'Invalid', `${error.field}: ${error.message}`);
}

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** The controller on an in-memory API that validates, with all-in-one nodes that are connected and acknowledge at once. */
function start() {
  const clock = new FakeClock();
  const api = new MemoryApi({ clock, admit: validate });
  const { logger, lines } = quietLogger();
  const limiter = new TokenBucket({ clock, qps: 100_000, burst: 100_000 });
  const client = new KubeClient({ transport: api, clock, timeoutMs: 1_000, limiter });
  const stop = new AbortController();
  const common = { client, logger, random: () => 0.5 };
  const informers = {
    meshes: new Informer({ ...common, resource: relayMeshes }),
    edges: new Informer({ ...common, resource: mediaEdges }),
    nodes: new Informer({ ...common, resource: mediaNodes }),
    streamRoutes: new Informer({ ...common, resource: streamRoutes }),
  };
  const leaseInformer = new Informer({ ...common, resource: leases });
  const recorder = new EventRecorder({ ...common, clock, component: 'test' });
  const controller = createRelayMeshController({
    ...informers,
    ...common,
    clock,
    recorder,
    fence: new LeaseFence(clock, Infinity),
    replicas: new ControlReplicas(leaseInformer, clock),
  });
  const running = [...Object.values(informers), leaseInformer, controller, recorder].map((part) => part.run(stop.signal));
  stops.push(async () => {
    stop.abort();
    await clock.settle(60_000);
    await Promise.all(running);
  });
  const put = (kind: keyof typeof crds, name: string, more: JsonObject): void => {
    const object: JsonObject = { apiVersion: 'millrace.dev/v1alpha1', kind: crds[kind].kind, metadata: { name }, ...more };
    crds[kind].applyDefaults(object);
    assert.deepEqual(crds[kind].validate(object), []);
    api.put(`${GROUP}/${kind}/${name}`, object);
  };
  const time = '2026-01-01T00:00:00Z';
  api.put('/apis/coordination.k8s.io/v1/namespaces/default/leases/millrace-control-c0', {
    spec: { renewTime: time, leaseDurationSeconds: 100_000 },
  });
  const nodeNames: string[] = [];
  const addNode = (region: string, roles: Role[] = ['push', 'pull', 'relay']): void => {
    const name = `${region}-1`;
    nodeNames.push(name);
    const common = { region, provider: 'p', roles };
    put('mediaedges', region, { spec: { ...common, meshRef: { name: 'world' } } });
    put('medianodes', name, {
      spec: { ...common, edge: region, mesh: 'world', pod: { name, uid: name }, capacity: { sessions: 10, egressMbps: 10 } },
    });
  };
  /** Writes status as control does: each node is connected, measures all others, and runs its current generation. */
  const report = (): void => {
    for (const name of nodeNames) {
      const path = `${GROUP}/medianodes/${name}`;
      const node = api.objects.get(path)!;
      const links = nodeNames.filter((peer) => peer !== name).map((peer) => ({ peer, state: 'Up', rttMs: 10 }));
      const connected = { type: 'AgentConnected', status: 'True', reason: 'Connected', message: '', lastTransitionTime: time };
      const status = {
        agent: { replica: 'c0', bootId: 'b', since: time },
        load: { sessions: 0, egressMbps: 0 },
        links,
        programmedGeneration: node.metadata.generation,
        conditions: [connected],
      };
      api.store.write(path, { ...node, status }, 'status');
    }
  };
  const mesh = (): RelayMesh => api.objects.get(`${GROUP}/relaymeshes/world`) as unknown as RelayMesh;
  const node = (name: string): MediaNode => api.objects.get(`${GROUP}/medianodes/${name}`) as unknown as MediaNode;
  const condition = (type: string): Condition | undefined => mesh().status?.conditions?.find((one) => one.type === type);
  const events = (reason: string): string[] =>
    api.store
      .list('/api/v1/namespaces/default/events')
      .filter(([, event]) => event['reason'] === reason)
      .map(([, event]) => String(event['message']));
  const fail = (path: RegExp, outcome: object): void => {
    api.faults = {
      fail: (request) => (request.method === 'PATCH' && path.test(request.path) ? outcome : undefined),
    } as Faults;
  };
  return { api, clock, lines, put, addNode, report, mesh, node, condition, events, fail };
}

describe('the RelayMesh controller', () => {
  test('with more routes than a MediaNode holds it programs as many as fit, those in use among them, and says what is left out', async () => {
    const { put, addNode, report, clock, node, condition, mesh } = start();
    put('relaymeshes', 'world', { spec: {} });
    for (const region of ['a', 'b', 'c']) addNode(region);
    const usedStream = {
      name: 'live/200',
      epoch: 1,
      origin: { region: 'a', node: 'a-1' },
      paths: [{ region: 'b', hops: ['a-1', 'b-1'] }],
    };
    // 255 policies and the default one from 2 other regions: 512 routes for each node.
    for (let i = 0; i < 255; i++) {
      put('streamroutes', `r${i}`, {
        spec: { streams: [`live/${i}`], path: { avoid: { regions: [`nowhere-${i}`] } } },
        ...(i === 200 ? { status: { streams: [usedStream], activeStreams: 1 } } : {}),
      });
    }
    report();
    await clock.settle(2_000);
    report();
    await clock.settle(2_000);
    for (const name of ['a-1', 'b-1', 'c-1']) {
      assert.equal(node(name).spec.routes?.length, 500, name);
      assert.equal(node(name).spec.routes?.filter(({ policy }) => policy === 'default').length, 2, name);
      assert.equal(node(name).spec.peers?.length, 2, name);
    }
    const { status } = mesh();
    assert.deepEqual(status?.leftOut, { routes: 36, links: 0 });
    assert.equal(status?.routeCount, 1500);
    assert.equal(status?.routes?.length, 200);
    const [first] = status?.routes ?? [];
    assert.deepEqual([first?.from, first?.to], ['a', 'b'], 'the route in use is shown first');
    const held = node('b-1').spec.routes?.find(({ originRegion, policy }) => originRegion === 'a' && policy === first?.policy);
    assert.ok(held, 'and the node that serves it has it');
    const programmed = condition('Programmed');
    assert.deepEqual([programmed?.status, programmed?.reason], ['False', 'RoutesTruncated']);
    assert.match(programmed?.message ?? '', /^36 routes into a, b, c are left out, since a node holds at most 500/);
    assert.deepEqual([condition('Ready')?.status, condition('Ready')?.reason], ['False', 'RoutesTruncated']);
  });

  test('a node whose MediaNode is refused keeps nobody else from theirs, and the mesh says so until it is taken', async () => {
    const { put, addNode, report, clock, node, condition, events, fail, api, lines } = start();
    put('relaymeshes', 'world', { spec: {} });
    for (const region of ['a', 'b']) addNode(region);
    report();
    await clock.settle(1_000);
    report();
    await clock.settle(1_000);
    assert.deepEqual([condition('Programmed')?.status, condition('Ready')?.status], ['True', 'True']);
    fail(/medianodes\/a-1\?/, {
      code: 422,
      reason: 'Invalid',
      message: 'spec.routes: Too many: 512: must have at most 500 items',
    });
    addNode('c');
    report();
    await clock.settle(1_000);
    report();
    await clock.settle(1_000);
    assert.equal(node('c-1').spec.peers?.length, 2, 'the new node is programmed');
    assert.equal(node('b-1').spec.peers?.length, 2, 'and so is what comes after the refused one');
    const programmed = condition('Programmed');
    assert.deepEqual([programmed?.status, programmed?.reason], ['False', 'NodesRefused']);
    assert.match(programmed?.message ?? '', /configuration of a-1, .*spec\.routes: Too many: 512/);
    assert.equal(condition('Ready')?.status, 'False');
    await clock.settle(20_000);
    assert.equal(events('NodeRefused').length, 2, 'told once of the mesh and once of the node');
    const refusals = lines.filter(({ msg }) => msg === 'the API refuses the configuration of a node');
    assert.deepEqual(
      refusals.map(({ level }) => level),
      ['error'],
      'what is refused is not tried again with every report',
    );
    api.faults = {};
    await clock.settle(31_000);
    report();
    await clock.settle(1_000);
    assert.deepEqual([condition('Programmed')?.status, condition('Ready')?.status], ['True', 'True']);
  });

  test('while writes to MediaNodes fail the mesh does not go on saying Programmed', async () => {
    const { put, addNode, report, clock, condition, fail } = start();
    put('relaymeshes', 'world', { spec: {} });
    for (const region of ['a', 'b']) addNode(region);
    report();
    await clock.settle(1_000);
    report();
    await clock.settle(1_000);
    assert.equal(condition('Programmed')?.status, 'True');
    fail(/medianodes\//, { code: 500, reason: 'InternalError', message: 'etcd is full' });
    addNode('c');
    report();
    await clock.settle(2_000);
    assert.deepEqual([condition('Programmed')?.status, condition('Programmed')?.reason], ['False', 'AwaitingNodes']);
    assert.match(condition('Programmed')?.message ?? '', /a-1, b-1, c-1/);
  });

  test('a status that the API refuses is replaced by its conditions, and Ready is False', async () => {
    const { put, addNode, report, clock, condition, api, mesh } = start();
    put('relaymeshes', 'world', { spec: {} });
    for (const region of ['a', 'b']) addNode(region);
    api.faults = {
      fail: (request) =>
        request.path.includes('relaymeshes/world/status') && request.body?.includes('"routeCount":')
          ? { code: 422, reason: 'Invalid', message: 'status.routeCount: unknown' }
          : undefined,
    };
    report();
    await clock.settle(1_000);
    report();
    await clock.settle(1_000);
    assert.equal(mesh().status?.routes, undefined);
    assert.deepEqual([condition('Ready')?.status, condition('Ready')?.reason], ['False', 'StatusRefused']);
    assert.match(condition('Ready')?.message ?? '', /status\.routeCount: unknown/);
  });

  test('a key that the API does not give keeps no node from its routes', async () => {
    const { put, addNode, report, clock, condition, api, node } = start();
    put('relaymeshes', 'world', { spec: {} });
    for (const region of ['a', 'b']) addNode(region);
    api.faults = {
      fail: (request) =>
        request.path.includes('/secrets/') ? { code: 403, reason: 'Forbidden', message: 'secrets is forbidden' } : undefined,
    };
    report();
    await clock.settle(1_000);
    assert.equal(node('b-1').spec.routes?.length, 1);
    assert.deepEqual([condition('ResolvedRefs')?.status, condition('ResolvedRefs')?.reason], ['False', 'SecretUnavailable']);
  });
});
