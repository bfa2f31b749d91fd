import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RelayMesh } from '@millrace/api';
import type { MeshNode, MeshObservation } from './model.ts';
import { planMesh } from './plan.ts';
import { meshStatus, type Programming } from './status.ts';

const mesh = { metadata: { name: 'world', namespace: 'default', generation: 3 }, spec: {} } as unknown as RelayMesh;
const NOW = Date.UTC(2026, 0, 1);

function relay(name: string, extra: Partial<MeshNode> = {}): MeshNode {
  return {
    name,
    edge: `${name}-edge`,
    region: name,
    provider: 'p',
    roles: new Set(['push', 'pull', 'relay']),
    priceCentsPerGb: 0,
    utilizationPercent: 0,
    fresh: true,
    seen: true,
    leaving: false,
    relays: [],
    routes: [],
    acknowledged: true,
    ...extra,
  };
}

const DONE: Programming = { behind: new Set(), refused: new Map() };

function conditions(
  nodes: MeshNode[],
  links: [string, string][],
  state: 'Up' | 'Down' = 'Up',
  programming = DONE,
): Record<string, string> {
  const observed: MeshObservation = {
    nodes,
    reports: links.map(([from, to]) => ({ from, to, state, rttMs: 10, jitterMs: 0, lossPercent: 0, fresh: true })),
    routing: {
      maxHops: 4,
      paths: 2,
      weights: { jitter: 2, lossMsPerPercent: 20, utilizationMsPerPercent: 1, priceMsPerCent: 0 },
      hysteresis: { improvementPercent: 15, windows: 3, dwellMs: 10_000 },
    },
    policies: [{ key: 'default', policy: 'LowestLatency', via: [], avoidRegions: [], avoidProviders: [] }],
    preconfigured: [],
    inUse: new Set(),
    since: new Map(),
    challenges: new Map(),
  };
  const status = meshStatus(mesh, observed, planMesh(observed, NOW), { ok: true }, programming, NOW);
  return Object.fromEntries(
    (status.conditions ?? []).map((condition) => [condition.type, `${condition.status} ${condition.reason}`]),
  );
}

describe('conditions of a mesh', () => {
  test('two measured relays that run their configuration are ready', () => {
    assert.deepEqual(conditions([relay('a'), relay('b')], [['a', 'b']]), {
      Accepted: 'True Accepted',
      ResolvedRefs: 'True Resolved',
      ProbesFresh: 'True AllFresh',
      Programmed: 'True AllAcknowledged',
      Ready: 'True Ready',
    });
  });

  test('a pod that never came up does not make the mesh unready: its edge reports it', () => {
    const waiting = relay('c', { seen: false, fresh: false, acknowledged: false, roles: new Set(['relay']) });
    assert.equal(conditions([relay('a'), relay('b'), waiting], [['a', 'b']])['Ready'], 'True Ready');
  });

  test('a relay without a connection to control is named, and its links keep their last state', () => {
    const found = conditions([relay('a'), relay('b', { fresh: false })], [['a', 'b']]);
    assert.equal(found['ProbesFresh'], 'False NodesSilent');
    assert.equal(found['Programmed'], 'True AllAcknowledged');
  });

  test('the conditions of a mesh without nodes are Unknown', () => {
    const found = conditions([], []);
    assert.deepEqual(
      [found['ProbesFresh'], found['Programmed'], found['ResolvedRefs']],
      ['Unknown NoProbesYet', 'Unknown AwaitingNodes', 'False NoMembers'],
    );
  });

  test('a node whose MediaNode does not hold what is planned is not programmed, whatever it acknowledged', () => {
    const programming = { behind: new Set(['b']), refused: new Map() };
    assert.equal(conditions([relay('a'), relay('b')], [['a', 'b']], 'Up', programming)['Programmed'], 'False AwaitingNodes');
  });

  test('a rejection by the API takes precedence over all other reasons', () => {
    const programming = { behind: new Set(['b']), refused: new Map([['b', 'spec.routes: Too many']]) };
    const found = conditions([relay('a'), relay('b')], [['a', 'b']], 'Up', programming);
    assert.deepEqual([found['Programmed'], found['Ready']], ['False NodesRefused', 'False NodesRefused']);
  });

  test('regions without a path are named', () => {
    assert.equal(conditions([relay('a'), relay('b')], [['a', 'b']], 'Down')['Programmed'], 'False Unreachable');
  });
});
