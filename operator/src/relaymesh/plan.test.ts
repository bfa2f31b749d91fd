import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parse, stringify } from 'yaml';
import type { MeshNode, MeshObservation, NamedPolicy, NodeRoute, Role } from './model.ts';
import { planMesh, routeKey } from './plan.ts';

/**
 * Golden cases: each file in testdata holds an observation and the expected plan.
 * `UPDATE_GOLDEN=1 node --test …` rewrites the `expect` part; review the diff before you commit it.
 */
interface MeshCase {
  about: string;
  now?: number;
  nodes: Record<
    string,
    {
      region: string;
      roles: string;
      leaving?: boolean;
      unacknowledged?: boolean;
      relays?: string[];
      routes?: NodeRoute[];
      price?: number;
      provider?: string;
    }
  >;
  links: string[];
  policies?: NamedPolicy[];
  preconfigured?: { from: string; to: string; via: string[] }[];
  since?: Record<string, number>;
  expect: unknown;
}

const testdata = new URL('testdata/', import.meta.url);

function observe(golden: MeshCase): MeshObservation {
  return {
    nodes: Object.entries(golden.nodes).map(([name, node]) => ({
      name,
      edge: name.replace(/-\d+$/, ''),
      region: node.region,
      provider: node.provider ?? 'p',
      roles: new Set(node.roles.split(' ') as Role[]),
      priceCentsPerGb: node.price ?? 0,
      utilizationPercent: 0,
      fresh: true,
      seen: true,
      leaving: node.leaving ?? false,
      relays: node.relays ?? [],
      routes: node.routes ?? [],
      acknowledged: !node.unacknowledged,
    })),
    reports: golden.links.map((line) => {
      const [from, to, rttMs, lossPercent, state] = line.split(' ');
      return {
        from: from as string,
        to: to as string,
        rttMs: Number(rttMs),
        lossPercent: Number(lossPercent),
        jitterMs: 0,
        state: (state ?? 'Up') as 'Up' | 'Down',
        fresh: true,
      };
    }),
    routing: {
      maxHops: 4,
      paths: 2,
      weights: { jitter: 2, lossMsPerPercent: 20, utilizationMsPerPercent: 1, priceMsPerCent: 0 },
      hysteresis: { improvementPercent: 15, windows: 3, dwellMs: 10_000 },
    },
    policies: golden.policies ?? [{ key: 'default', policy: 'LowestLatency', via: [], avoidRegions: [], avoidProviders: [] }],
    preconfigured: golden.preconfigured ?? [],
    inUse: new Set(),
    since: new Map(Object.entries(golden.since ?? {})),
    challenges: new Map(),
  };
}

/** A short form of the plan, for comparison. */
function summary(plan: ReturnType<typeof planMesh>): unknown {
  return {
    programs: Object.fromEntries(
      [...plan.programs].map(([name, program]) => [
        name,
        {
          relays: program.relays.join(' '),
          peers: program.peers.map((peer) => peer.node).join(' '),
          routes: program.routes.map(
            (route) =>
              `${route.originRegion}/${route.policy}: ${route.paths.map((path) => `${path.hops.join(' ')} (${path.costMs})`).join(' | ')}`,
          ),
        },
      ]),
    ),
    routes: plan.routes.map(
      (route) => `${routeKey(route.from, route.to, route.policy)} since ${route.since}${route.programmed ? ' programmed' : ''}`,
    ),
    unreachable: plan.unreachable.map((route) => routeKey(route.from, route.to, route.policy)),
  };
}

describe('mesh plans', () => {
  for (const file of readdirSync(testdata).filter((name) => name.endsWith('.yaml'))) {
    const url = new URL(file, testdata);
    const golden = parse(readFileSync(url, 'utf8')) as MeshCase;
    test(`${file}: ${golden.about}`, () => {
      const planned = summary(planMesh(observe(golden), golden.now ?? 1_000_000));
      if (process.env.UPDATE_GOLDEN) writeFileSync(url, stringify({ ...golden, expect: planned }, { lineWidth: 0 }));
      else assert.deepEqual(planned, golden.expect);
    });
  }
});

test('a plan fed back as what is programmed changes nothing', () => {
  for (const file of readdirSync(testdata).filter((name) => name.endsWith('.yaml'))) {
    const observed = observe(parse(readFileSync(new URL(file, testdata), 'utf8')) as MeshCase);
    const first = planMesh(observed, 1_000_000);
    const nodes: MeshNode[] = observed.nodes.map((node) => {
      const program = first.programs.get(node.name);
      return { ...node, relays: program?.relays ?? [], routes: program?.routes ?? [] };
    });
    const since = new Map(first.routes.map((route) => [routeKey(route.from, route.to, route.policy), route.since]));
    const second = planMesh({ ...observed, nodes, since, challenges: first.challenges }, 1_001_000);
    assert.deepEqual([...second.programs], [...first.programs], file);
  }
});
