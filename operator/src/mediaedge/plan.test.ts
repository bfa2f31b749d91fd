import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parse, stringify } from 'yaml';
import type { MediaNode } from '@millrace/api';
import type { EdgePlan } from './model.ts';
import { planEdge } from './plan.ts';
import { NOW_MS, observeCase, type EdgeCase } from './testing/edge-case.ts';

/**
 * Golden cases: each file in testdata holds an observation and the expected plan.
 * `UPDATE_GOLDEN=1 node --test …` rewrites the `expect` part; review the diff before you commit it.
 */
const testdata = new URL('testdata/', import.meta.url);

describe('what the operator does with the nodes of an edge', () => {
  for (const file of readdirSync(testdata).sort()) {
    const golden = parse(readFileSync(new URL(file, testdata), 'utf8')) as EdgeCase & { about: string; expect: unknown };
    test(`${file}: ${golden.about}`, () => {
      const plan: unknown = summary(planEdge(observeCase(golden)));
      if (process.env['UPDATE_GOLDEN']) {
        writeFileSync(new URL(file, testdata), stringify({ ...golden, expect: plan }, { lineWidth: 130 }));
      } else assert.deepEqual(plan, golden.expect);
    });
  }
});

test('a node of a paused edge gets its addresses, without which control would not let it in, and nothing else', () => {
  const given = observeCase({
    edge: { replicas: 2, paused: true },
    nodes: { 'edge-a': { sessions: 1 }, 'edge-b': { sessions: 1 } },
  });
  const [first, second] = given.pods;
  const started = { ...first!, status: { ...first!.status, hostIP: '192.0.2.7', hostIPs: [{ ip: '192.0.2.7' }] } };
  const [node, ...others] = planEdge({ ...given, pods: [started, second!] }).mediaNodes;
  assert.equal(others.length, 0);
  assert.deepEqual(node?.spec.addresses, ['192.0.2.7']);
  const { addresses: _, ...rest } = node.spec;
  const before = given.mediaNodes.find(({ metadata }) => metadata.name === 'edge-a')!;
  for (const [field, value] of Object.entries(rest)) assert.deepEqual(value, before.spec[field as keyof typeof rest], field);
  const known = given.mediaNodes.map((one) => ({ ...one, spec: { ...one.spec, addresses: ['192.0.2.7'] } }));
  assert.deepEqual(planEdge({ ...given, pods: [started, second!], mediaNodes: known }).mediaNodes, []);
});

function summary(plan: EdgePlan): unknown {
  const { status } = plan;
  const events = [...plan.events, ...plan.statusEvents];
  return JSON.parse(
    JSON.stringify({
      create: plan.create || undefined,
      deletePods: plan.deletePods.length > 0 ? plan.deletePods.map((pod) => pod.metadata?.name) : undefined,
      nodes: Object.fromEntries(plan.mediaNodes.map((node) => [node.metadata.name, nodeSummary(node)])),
      deleteMediaNodes: plan.deleteMediaNodes.length > 0 ? plan.deleteMediaNodes.map((node) => node.metadata.name) : undefined,
      inUse:
        plan.inUse.length > 0
          ? Object.fromEntries(plan.inUse.map((one) => [one.pod.metadata?.name ?? '', one.inUse]))
          : undefined,
      finalizer: plan.finalizer === 'remove' ? 'remove' : undefined,
      counts: `replicas ${status.replicas} desired ${status.desired} ready ${status.ready} updated ${status.updated} draining ${status.draining}`,
      load: status.load,
      conditions: Object.fromEntries(
        (status.conditions ?? []).map((one) => [one.type, `${one.status} ${one.reason}: ${one.message}`]),
      ),
      events: events.length > 0 ? events.map((event) => `${event.type} ${event.reason}: ${event.message}`) : undefined,
      requeueAfterMs: plan.requeueAfterMs,
    }),
  );
}

function nodeSummary(node: MediaNode): string {
  const { cordoned, drain } = node.spec;
  if (!drain) return cordoned ? 'cordoned' : 'active';
  const at = (time: string): string => `${(Date.parse(time) - NOW_MS) / 1000}s`;
  return `draining (${drain.policy}) since ${at(drain.since)} until ${at(drain.deadline)}`;
}

const instance = fc.record(
  {
    ready: fc.boolean(),
    outdated: fc.boolean(),
    sessions: fc.option(fc.nat(5), { nil: undefined }),
    connected: fc.boolean(),
    acknowledged: fc.boolean(),
    reportAgeS: fc.nat(60),
    drainAgeS: fc.option(fc.nat(3000), { nil: undefined }),
    ageS: fc.nat(5000),
    phase: fc.constantFrom('Running' as const, 'Failed' as const),
    terminating: fc.boolean(),
  },
  { requiredKeys: [] },
);
const anyCase = fc.record({
  edge: fc.record({
    replicas: fc.nat(6),
    maxSurge: fc.nat(2),
    maxUnavailable: fc.integer({ min: 1, max: 2 }),
    deleting: fc.boolean(),
  }),
  nodes: fc.dictionary(fc.stringMatching(/^[a-z]{3}$/), instance, { maxKeys: 8 }),
  uncertainCreates: fc.nat(2),
});

describe('whatever is observed', () => {
  test('a running pod is deleted only when it is known to be empty, never served, or has exceeded its drain timeout', () => {
    fc.assert(
      fc.property(anyCase, (given) => {
        for (const pod of planEdge(observeCase(given)).deletePods) {
          const node = given.nodes[pod.metadata?.name ?? '']!;
          if (node.phase === 'Failed') continue;
          const timedOut = (node.drainAgeS ?? -1) >= 1800;
          const empty =
            node.drainAgeS !== undefined && node.sessions === 0 && node.connected !== false && node.acknowledged !== false;
          const neverServed = node.sessions === undefined && node.connected === false && !node.ready;
          assert.ok(timedOut || empty || neverServed, `${pod.metadata?.name}: ${JSON.stringify(node)}`);
        }
      }),
    );
  });

  test('nodes are created only up to replicas plus maxSurge, and creations of unknown outcome count', () => {
    fc.assert(
      fc.property(anyCase, (given) => {
        const plan = planEdge(observeCase(given));
        const { replicas, maxSurge, deleting } = given.edge;
        const wanted = deleting ? 0 : replicas;
        const { replicas: active = 0 } = plan.status;
        if (plan.create > 0) assert.ok(active + plan.create + given.uncertainCreates <= wanted + maxSurge);
      }),
    );
  });

  test('a plan that was carried out is not carried out again', () => {
    fc.assert(
      fc.property(anyCase, (given) => {
        const observation = observeCase(given);
        const first = planEdge(observation);
        const later = new Map(first.mediaNodes.map((node) => [node.metadata.name, node]));
        const deleted = new Set(first.deletePods);
        const second = planEdge({
          ...observation,
          isDeleting: (pod) => deleted.has(pod) || observation.isDeleting(pod),
          uncertainCreates: observation.uncertainCreates + first.create,
          mediaNodes: observation.mediaNodes.map((node) => ({ ...node, spec: later.get(node.metadata.name)?.spec ?? node.spec })),
        });
        assert.equal(second.deletePods.length, 0, 'deletes more');
        const draining = (plan: EdgePlan): string[] =>
          plan.mediaNodes.filter((node) => node.spec.cordoned).map((node) => node.metadata.name);
        assert.deepEqual(draining(second).sort(), draining(first).sort());
      }),
    );
  });
});
