import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MediaEdge, MediaNode, RelayMesh } from '@millrace/api';
import type { Pod } from '@millrace/kube';
import { missing } from './readiness.ts';
import { lastWords } from './trouble.ts';

const STARTED_AT_MS = Date.parse('2026-01-01T12:00:00.700Z');
const when = (type: string, status: string, message = '') => [{ type, status, message, reason: 'Test', lastTransitionTime: '' }];
const edge = (name: string, ready: string) =>
  ({ metadata: { name }, spec: {}, status: { conditions: when('Ready', ready) } }) as unknown as MediaEdge;
const node = (ofEdge: string, since: string, connected = 'True') =>
  ({
    metadata: { name: `${ofEdge}-1` },
    spec: { edge: ofEdge },
    status: { agent: { since }, conditions: when('AgentConnected', connected) },
  }) as unknown as MediaNode;
const mesh = (ready: string, message: string) =>
  ({ metadata: { name: 'world' }, spec: {}, status: { conditions: when('Ready', ready, message) } }) as unknown as RelayMesh;

const now = '2026-01-01T12:00:00Z';
const whole = {
  edges: [edge('a', 'True')],
  nodes: [node('a', now)],
  pods: [],
  logTail: () => [],
  meshes: [mesh('True', 'ready')],
};

test('a network is ready when edges and mesh are ready and their nodes connected since the start', () => {
  assert.equal(missing(whole, STARTED_AT_MS), undefined);
});

test('edges that are not ready are named', () => {
  const edges = [edge('a', 'True'), edge('b', 'False')];
  assert.equal(missing({ ...whole, edges }, STARTED_AT_MS), '1 of 2 edges are ready, waiting for b');
});

for (const [what, stale] of [
  ['called before the start', node('a', '2026-01-01T11:59:59Z')],
  ['is not connected', node('a', now, 'Unknown')],
] as const)
  test(`an edge that was ready in an earlier run is not ready while a node of it ${what}`, () => {
    assert.equal(missing({ ...whole, nodes: [stale] }, STARTED_AT_MS), '0 of 1 edges are ready, waiting for a');
  });

test('a mesh that is not ready says why', () => {
  const meshes = [mesh('False', '3 of 15 trunks have no measurement yet')];
  assert.equal(missing({ ...whole, meshes }, STARTED_AT_MS), 'world: 3 of 15 trunks have no measurement yet');
});

describe('an edge that does not become ready', () => {
  const pod = (status: object) => ({ metadata: { name: 'a-1', labels: { 'millrace.dev/edge': 'a' } }, status }) as unknown as Pod;
  const waitingFor = (status: object, logTail = () => [] as string[]) =>
    missing({ ...whole, edges: [edge('a', 'False')], pods: [pod(status)], logTail }, STARTED_AT_MS);
  const container = (state: object, lastState = {}) => ({
    containerStatuses: [{ name: 'media-node', ready: false, state, lastState }],
  });

  test('because its process ends says so, with the last lines of its log, whether it is waiting or running at the moment', () => {
    const crashed = { terminated: { exitCode: 1 } };
    for (const state of [{ waiting: { reason: 'CrashLoopBackOff' } }, { running: {} }])
      assert.equal(
        waitingFor(container(state, crashed), () => ['cannot listen on 127.0.0.1:80']),
        '0 of 1 edges are ready, waiting for a\n      a: pod a-1: its process ends again and again (exit code 1)\n      a:   | cannot listen on 127.0.0.1:80',
      );
  });

  test('because its pod cannot start says the reason and message', () => {
    assert.match(
      waitingFor(container({ waiting: { reason: 'CreateContainerConfigError', message: 'secret "x" not found' } }))!,
      /a: pod a-1: CreateContainerConfigError: secret "x" not found/,
    );
    const unscheduled = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'port 8080 is taken by b-1' };
    assert.match(waitingFor({ conditions: [unscheduled] })!, /a: pod a-1: Unschedulable: port 8080 is taken by b-1/);
  });

  test('because of its own fields says the condition', () => {
    const wrong = [{ type: 'Accepted', status: 'False', reason: 'NoImage', message: 'spec.image is not set' }];
    const unaccepted = { ...edge('a', 'False'), status: { conditions: wrong } } as unknown as MediaEdge;
    assert.match(missing({ ...whole, edges: [unaccepted] }, STARTED_AT_MS)!, /a: NoImage: spec\.image is not set/);
  });

  test('and whose pod is being started says nothing more', () => {
    assert.equal(waitingFor(container({ waiting: { reason: 'ContainerCreating' } })), '0 of 1 edges are ready, waiting for a');
  });
});

test('the last lines of a log are its errors and lines that are not records, without stacks', () => {
  const log = [
    '{"level":30,"msg":"starting"}',
    '{"level":"error","msg":"no way","err":{"message":"EACCES"}}',
    'Error: the node announces fd00::9 only',
    '    at placeNode (node.ts:98:11)',
    '',
  ].join('\n');
  assert.deepEqual(lastWords(log), ['no way: EACCES', 'Error: the node announces fd00::9 only']);
});
