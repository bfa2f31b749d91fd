import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MediaEdge, MediaNode, RelayMesh } from '@millrace/api';
import { missing } from './readiness.ts';

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
const whole = { edges: [edge('a', 'True')], nodes: [node('a', now)], meshes: [mesh('True', 'ready')] };

test('a network is whole when edges and mesh are ready and their nodes called since the start', () => {
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
  test(`an edge that was ready in an earlier life is waited for while a node of it ${what}`, () => {
    assert.equal(missing({ ...whole, nodes: [stale] }, STARTED_AT_MS), '0 of 1 edges are ready, waiting for a');
  });

test('a mesh that is not ready says why', () => {
  const meshes = [mesh('False', '3 of 15 trunks have no measurement yet')];
  assert.equal(missing({ ...whole, meshes }, STARTED_AT_MS), 'world: 3 of 15 trunks have no measurement yet');
});
