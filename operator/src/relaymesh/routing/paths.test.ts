import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { CostWeights } from './cost.ts';
import { HOP_COST_MS, weightsFor } from './cost.ts';
import type { Link, LinkQuality, Relay } from './graph.ts';
import { buildGraph } from './graph.ts';
import type { PathQuery } from './paths.ts';
import { disjointPaths, measurePath, satisfies } from './paths.ts';

const weights: CostWeights = { jitter: 2, lossMsPerPercent: 20, utilizationMsPerPercent: 1, priceMsPerCent: 0 };

function relay(node: string, extra: Partial<Relay> = {}): Relay {
  return { node, region: node.split('-')[0] as string, provider: 'p', priceCentsPerGb: 0, utilizationPercent: 0, ...extra };
}

/** Equal quality in both directions, unless `toA` differs. */
function link(a: string, b: string, rttMs: number, extra: Partial<LinkQuality> = {}, toA: Partial<LinkQuality> = extra): Link {
  const quality = { rttMs, jitterMs: 0, lossPercent: 0 };
  return { a, b, toB: { ...quality, ...extra }, toA: { ...quality, ...toA } };
}

function query(extra: Partial<PathQuery> = {}): PathQuery {
  return {
    sources: ['c-1'],
    originRegion: 'a',
    maxHops: 4,
    weights,
    via: [],
    avoidRegions: new Set(),
    avoidProviders: new Set(),
    ...extra,
  };
}

const hopsOf = (paths: { hops: readonly string[] }[]) => paths.map((path) => path.hops.join(' '));

describe('disjoint paths', () => {
  const relays = [relay('a-1'), relay('b-1'), relay('b-2'), relay('c-1'), relay('d-1')];

  test('the cheapest path comes first and the backup shares no relay in between', () => {
    const links = [
      link('c-1', 'b-1', 20),
      link('b-1', 'a-1', 20),
      link('c-1', 'b-2', 30),
      link('b-2', 'a-1', 30),
      link('c-1', 'a-1', 200),
    ];
    assert.deepEqual(hopsOf(disjointPaths(buildGraph(relays, links), query(), 2)), ['c-1 b-1 a-1', 'c-1 b-2 a-1']);
  });

  test('two hops over good links beat one lossy link', () => {
    const links = [link('c-1', 'a-1', 40, { lossPercent: 5 }), link('c-1', 'b-1', 30), link('b-1', 'a-1', 30)];
    assert.deepEqual(hopsOf(disjointPaths(buildGraph(relays, links), query(), 1)), ['c-1 b-1 a-1']);
  });

  test('a direction that loses packets is left by media that flows in it, and kept by media that flows in the other', () => {
    // The viewers are at c-1: media flows from a-1 to c-1.
    const detour = [link('c-1', 'b-1', 30), link('b-1', 'a-1', 30)];
    const lossyTowardsViewers = link('c-1', 'a-1', 40, {}, { lossPercent: 5 });
    const lossyTowardsOrigin = link('c-1', 'a-1', 40, { lossPercent: 5 }, {});
    assert.deepEqual(hopsOf(disjointPaths(buildGraph(relays, [lossyTowardsViewers, ...detour]), query(), 1)), ['c-1 b-1 a-1']);
    assert.deepEqual(hopsOf(disjointPaths(buildGraph(relays, [lossyTowardsOrigin, ...detour]), query(), 1)), ['c-1 a-1']);
  });

  test('a relay of unknown load comes after one that has room, and before one that is full', () => {
    const two = (first: number | undefined, second: number | undefined) => [
      ...['a-1', 'c-1'].map((node) => relay(node)),
      relay('b-1', { utilizationPercent: first }),
      relay('b-2', { utilizationPercent: second }),
    ];
    const links = ['b-1', 'b-2'].flatMap((between) => [link('c-1', between, 20), link(between, 'a-1', 20)]);
    assert.deepEqual(hopsOf(disjointPaths(buildGraph(two(undefined, 50), links), query(), 1)), ['c-1 b-2 a-1']);
    assert.deepEqual(hopsOf(disjointPaths(buildGraph(two(100, undefined), links), query(), 1)), ['c-1 b-2 a-1']);
  });

  test('via forces a region even when the direct link is best', () => {
    const links = [link('c-1', 'a-1', 1), link('c-1', 'b-1', 30), link('b-1', 'a-1', 30)];
    assert.deepEqual(hopsOf(disjointPaths(buildGraph(relays, links), query({ via: ['b'] }), 1)), ['c-1 b-1 a-1']);
  });

  test('a region to avoid is not crossed, and no path is better than a forbidden one', () => {
    const links = [link('c-1', 'b-1', 30), link('b-1', 'a-1', 30)];
    assert.deepEqual(disjointPaths(buildGraph(relays, links), query({ avoidRegions: new Set(['b']) }), 2), []);
  });

  test('no path is longer than the mesh allows', () => {
    const links = [link('c-1', 'd-1', 1), link('d-1', 'b-1', 1), link('b-1', 'a-1', 1), link('c-1', 'a-1', 500)];
    assert.deepEqual(hopsOf(disjointPaths(buildGraph(relays, links), query({ maxHops: 2 }), 1)), ['c-1 a-1']);
    assert.deepEqual(hopsOf(disjointPaths(buildGraph(relays, links), query({ maxHops: 3 }), 1)), ['c-1 d-1 b-1 a-1']);
  });

  test('where only one relay leads on, the backup shares it rather than not exist', () => {
    const links = [
      link('c-1', 'd-1', 5),
      link('d-1', 'b-1', 5),
      link('d-1', 'b-2', 9),
      link('b-1', 'a-1', 5),
      link('b-2', 'a-1', 5),
    ];
    assert.deepEqual(hopsOf(disjointPaths(buildGraph(relays, links), query(), 2)), ['c-1 d-1 b-1 a-1', 'c-1 d-1 b-2 a-1']);
  });

  test('price decides with LowestCost and does not count with LowestLatency', () => {
    const priced = [relay('a-1'), relay('b-1', { priceCentsPerGb: 9 }), relay('b-2', { priceCentsPerGb: 1 }), relay('c-1')];
    const links = [link('c-1', 'b-1', 10), link('b-1', 'a-1', 10), link('c-1', 'b-2', 80), link('b-2', 'a-1', 80)];
    const graph = buildGraph(priced, links);
    const first = (policy: 'LowestCost' | 'LowestLatency') =>
      hopsOf(disjointPaths(graph, query({ weights: weightsFor(policy, weights) }), 1))[0];
    assert.equal(first('LowestCost'), 'c-1 b-2 a-1');
    assert.equal(first('LowestLatency'), 'c-1 b-1 a-1');
  });

  test('a path never returns to a region that it left, even when that is the cheapest path to the region it must cross', () => {
    const more = [...relays, relay('a-2')];
    const links = [link('c-1', 'a-2', 1), link('a-2', 'b-1', 1), link('c-1', 'b-1', 50), link('b-1', 'a-1', 1)];
    assert.deepEqual(hopsOf(disjointPaths(buildGraph(more, links), query({ via: ['b'] }), 1)), ['c-1 b-1 a-1']);
  });

  test('routes avoid a relay that is nearly full', () => {
    const full = [relay('a-1'), relay('b-1', { utilizationPercent: 95 }), relay('b-2'), relay('c-1')];
    const links = [link('c-1', 'b-1', 10), link('b-1', 'a-1', 10), link('c-1', 'b-2', 20), link('b-2', 'a-1', 20)];
    assert.deepEqual(hopsOf(disjointPaths(buildGraph(full, links), query(), 1)), ['c-1 b-2 a-1']);
  });

  test('RTT and loss of a path are those of its links put together', () => {
    const graph = buildGraph(relays, [link('c-1', 'b-1', 20, { lossPercent: 10 }), link('b-1', 'a-1', 30, { lossPercent: 10 })]);
    const path = measurePath(graph, ['c-1', 'b-1', 'a-1'], weights);
    assert.equal(path?.rttMs, 50);
    assert.ok(Math.abs((path?.lossPercent ?? 0) - 19) < 1e-9);
    assert.ok(Math.abs((path?.costMs ?? 0) - (25 + 400 + 2 * HOP_COST_MS)) < 1e-9);
  });
});

/** All loop-free paths by brute force, as a reference for the search. */
function cheapestByEnumeration(relays: Relay[], links: Link[], q: PathQuery): number | undefined {
  const graph = buildGraph(relays, links);
  let best: number | undefined;
  const walk = (hops: string[]): void => {
    if (satisfies(graph, hops, q)) {
      const cost = measurePath(graph, hops, q.weights)?.costMs as number;
      if (best === undefined || cost < best) best = cost;
    }
    if (hops.length > q.maxHops) return;
    for (const { node } of graph.neighbours.get(hops.at(-1) as string) ?? []) if (!hops.includes(node)) walk([...hops, node]);
  };
  for (const source of q.sources) walk([source]);
  return best;
}

describe('any mesh', () => {
  const nodes = ['a-1', 'a-2', 'b-1', 'b-2', 'c-1', 'c-2', 'd-1'];
  const anyLinks = fc.uniqueArray(
    fc
      .record({
        x: fc.nat(nodes.length - 1),
        y: fc.nat(nodes.length - 1),
        rttMs: fc.nat(300),
        lossPercent: fc.nat(20),
        lossBackPercent: fc.nat(20),
      })
      .filter((l) => l.x < l.y),
    { selector: (l) => `${l.x} ${l.y}`, maxLength: 21 },
  );
  const anyQuery = fc.record({
    maxHops: fc.integer({ min: 1, max: 5 }),
    via: fc.constantFrom<string[]>([], ['b'], ['d'], ['b', 'd']),
  });

  test('the first path is the cheapest of all that the policy allows; none has a loop; the order of input does not matter', () => {
    fc.assert(
      fc.property(anyLinks, anyQuery, (raw, extra) => {
        const relays = nodes.map((node) => relay(node));
        const links = raw.map(({ x, y, rttMs, lossPercent, lossBackPercent }) =>
          link(nodes[x] as string, nodes[y] as string, rttMs, { lossPercent }, { lossPercent: lossBackPercent }),
        );
        const q = query({ ...extra, sources: ['c-1', 'c-2'] });
        const paths = disjointPaths(buildGraph(relays, links), q, 3);
        const expected = cheapestByEnumeration(relays, links, q);
        assert.equal(paths[0] === undefined, expected === undefined);
        if (paths[0]) assert.ok(Math.abs(paths[0].costMs - (expected as number)) < 1e-6, `${paths[0].costMs} is not ${expected}`);
        for (const path of paths) assert.equal(new Set(path.hops).size, path.hops.length);
        assert.deepEqual(disjointPaths(buildGraph([...relays].reverse(), [...links].reverse()), q, 3), paths);
      }),
      { numRuns: 500 },
    );
  });
});
