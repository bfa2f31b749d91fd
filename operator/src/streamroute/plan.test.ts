import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parse, stringify } from 'yaml';
import type { MediaNode, StreamRoute } from '@millrace/api';
import { compileCrd, type JsonObject } from '@millrace/api/validation';
import { streamRouteCrd } from '@millrace/api/crds/definitions';
import { NodeIndex } from './node-index.ts';
import { planRoute } from './plan.ts';
import { RouteIndex } from './route-index.ts';

/**
 * Golden cases: each file in testdata holds what is observed and what the route's status must say.
 * `UPDATE_GOLDEN=1 node --test …` rewrites the `expect` part; review the diff before you commit it.
 */
interface RouteCase {
  about: string;
  route: JsonObject;
  firstSight?: boolean;
  /** The spec was changed since it was judged last. */
  edited?: boolean;
  /** Streams: origin node and the hops to each region. */
  streams?: Record<string, Record<string, string[]>>;
  others?: Record<string, JsonObject & { createdAt?: string }>;
  nodes?: Record<string, { region: string; routes?: string[]; behind?: boolean }>;
  /** The mesh that all nodes name does not exist. */
  meshGone?: boolean;
  expect: unknown;
}

const testdata = new URL('testdata/', import.meta.url);
const NOW_MS = Date.parse('2026-01-02T00:00:00Z');
const crd = compileCrd(streamRouteCrd);

describe('what a StreamRoute says about itself', () => {
  for (const file of readdirSync(testdata).sort()) {
    const golden = parse(readFileSync(new URL(file, testdata), 'utf8')) as RouteCase;
    test(`${file}: ${golden.about}`, () => {
      const plan = summary(golden);
      if (process.env['UPDATE_GOLDEN']) {
        writeFileSync(new URL(file, testdata), stringify({ ...golden, expect: plan }, { lineWidth: 130 }));
      } else assert.deepEqual(plan, golden.expect);
    });
  }
});

function summary(given: RouteCase): unknown {
  const route = routeOf('route', given.route, '2026-01-01T00:00:00Z');
  const before = {
    type: 'Ready',
    status: 'True',
    reason: 'Ready',
    message: '',
    observedGeneration: given.edited ? 0 : 1,
    lastTransitionTime: '2026-01-01T00:00:00Z',
  } as const;
  const streams = Object.entries(given.streams ?? {}).map(([name, paths]) => ({
    name,
    epoch: 1,
    origin: { region: 'eu', node: Object.values(paths)[0]?.[0] ?? '' },
    paths: Object.entries(paths).map(([region, hops]) => ({ region, hops })),
  }));
  route.status = { conditions: given.firstSight ? [] : [before], streams };
  const others = Object.entries(given.others ?? {}).map(([name, { createdAt, ...spec }]) =>
    routeOf(name, spec, createdAt ?? '2026-01-01T12:00:00Z'),
  );
  const nodes = Object.entries(given.nodes ?? {}).map(
    ([name, { region, routes, behind }]) =>
      ({
        metadata: { name, namespace: 'default', generation: 5 },
        spec: { region, mesh: 'world', routes: routes?.map((policy) => ({ originRegion: 'eu', policy, paths: [] })) },
        status: { programmedGeneration: behind ? 4 : 5 },
      }) as unknown as MediaNode,
  );
  const routeIndex = new RouteIndex();
  for (const object of [route, ...others]) routeIndex.apply({ type: 'added', object });
  const nodeIndex = new NodeIndex();
  for (const object of nodes) nodeIndex.apply({ type: 'added', object });
  const carriers = new Set(routeIndex.carriersOf(route.metadata.name));
  const { status, events } = planRoute({
    route,
    shadowed: routeIndex.shadowedPatterns(route.metadata.name),
    carriers: nodes.filter(({ metadata }) => carriers.has(metadata.name)),
    surroundings: {
      regionCount: nodeIndex.regionCount,
      hasRegion: (region) => nodeIndex.hasRegion(region),
      goneMeshes: given.meshGone ? [...nodeIndex.meshes] : [],
      isRouted: (policyKey) => nodeIndex.isRouted(policyKey),
    },
    nowMs: NOW_MS,
  });
  return JSON.parse(
    JSON.stringify({
      policyKey: status.policyKey,
      conditions: Object.fromEntries(status.conditions.map((one) => [one.type, `${one.status} ${one.reason}: ${one.message}`])),
      events: events.length > 0 ? events.map((event) => `${event.type} ${event.reason}: ${event.message}`) : undefined,
    }),
  );
}

function routeOf(name: string, spec: JsonObject, creationTimestamp: string): StreamRoute {
  const route = {
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'StreamRoute',
    metadata: { name, namespace: 'default', generation: 1, creationTimestamp },
    spec: structuredClone(spec),
  };
  crd.applyDefaults(route);
  assert.deepEqual(crd.validate(route as JsonObject), []);
  return route as unknown as StreamRoute;
}
