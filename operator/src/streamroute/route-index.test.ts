import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { matchesStreamPattern, type StreamRoute } from '@millrace/api';
import fc from 'fast-check';
import { RouteIndex } from './route-index.ts';

interface Given {
  streams: readonly string[];
  priority?: number;
  created?: number;
  carriers?: readonly string[];
}

function routeOf(name: string, { streams, priority = 0, created = 0, carriers = [] }: Given): StreamRoute {
  return {
    metadata: { name, namespace: 'default', uid: name, creationTimestamp: `2026-01-01T00:00:0${created}Z` },
    spec: { streams, priority, origin: {}, distribution: {}, path: { policy: 'LowestLatency' } },
    status: { streams: carriers.map((node) => ({ name: 'live/x', epoch: 1, origin: { node, region: 'r' } })) },
  } as unknown as StreamRoute;
}

/** By the words of the API: every other route is looked at. */
function shadowedByLooking(route: StreamRoute, all: readonly StreamRoute[]): string[] {
  const isOlder = (a: StreamRoute, b: StreamRoute): boolean => {
    const [x, y] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? ''];
    return x === y ? a.metadata.name < b.metadata.name : x < y;
  };
  return route.spec.streams.flatMap((pattern) => {
    const winners = all.filter((rival) => {
      if (rival.metadata.name === route.metadata.name) return false;
      if (rival.spec.priority > route.spec.priority)
        return rival.spec.streams.some((wide) => wide === pattern || matchesStreamPattern(wide, pattern));
      return rival.spec.priority === route.spec.priority && rival.spec.streams.includes(pattern) && isOlder(rival, route);
    });
    winners.sort((a, b) => b.spec.priority - a.spec.priority || (isOlder(a, b) ? -1 : 1));
    return winners[0] ? [`${pattern} by ${winners[0].metadata.name}`] : [];
  });
}

const half = fc.string({ unit: fc.constantFrom('a', 'b', '*'), minLength: 1, maxLength: 3 });
const pattern = fc.tuple(half, half).map(([app, name]) => `${app}/${name}`);
const given = fc.record({
  name: fc.constantFrom('r1', 'r2', 'r3', 'r4', 'r5'),
  streams: fc.uniqueArray(pattern, { minLength: 1, maxLength: 3 }),
  priority: fc.nat(2),
  created: fc.nat(2),
  isDeleted: fc.boolean(),
});

describe('the index of StreamRoutes', () => {
  test('knows which route shadows which, and returns every route that a change affects', () => {
    fc.assert(
      fc.property(fc.array(given, { maxLength: 20 }), (changes) => {
        const index = new RouteIndex();
        const all = new Map<string, StreamRoute>();
        for (const { name, isDeleted, ...more } of changes) {
          const before = new Map(
            [...all.values()].map((route) => [route.metadata.name, shadowedByLooking(route, [...all.values()])]),
          );
          const old = all.get(name);
          const object = routeOf(name, more);
          if (isDeleted) all.delete(name);
          else all.set(name, object);
          if (isDeleted && !old) continue;
          const concerned = isDeleted
            ? index.apply({ type: 'deleted', object: old! })
            : index.apply(old ? { type: 'updated', object, old } : { type: 'added', object });
          for (const route of all.values()) {
            const now = shadowedByLooking(route, [...all.values()]);
            const told = index.shadowedPatterns(route.metadata.name).map((one) => `${one.pattern} by ${one.by}`);
            assert.deepEqual(told, now, route.metadata.name);
            if (String(before.get(route.metadata.name)) !== String(now)) assert.ok(concerned.has(route.metadata.name));
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('a change among 10,000 routes compares and affects only a handful', () => {
    let compared = 0;
    const index = new RouteIndex((wide, name) => {
      compared++;
      return matchesStreamPattern(wide, name);
    });
    for (let i = 0; i < 10_000; i++)
      index.apply({
        type: 'added',
        object: routeOf(`r${i}`, { streams: [`app${i % 10}/room-${i}-*`, `*/${i}`], priority: i % 3 }),
      });
    const [old, object] = [1, 2].map((created) =>
      routeOf('r500', { streams: ['app0/room-500-*', '*/500'], priority: 2, created }),
    );
    compared = 0;
    const status = index.apply({
      type: 'updated',
      object: routeOf('r500', { streams: ['app0/room-500-*', '*/500'], priority: 2, carriers: ['n'] }),
      old: old!,
    });
    assert.deepEqual([...status], ['r500'], 'a change of status concerns itself alone');
    assert.equal(compared, 0);
    const concerned = index.apply({ type: 'updated', object: object!, old: old! });
    for (const name of concerned) index.shadowedPatterns(name);
    assert.deepEqual([...concerned], ['r500']);
    assert.ok(compared <= 20, `${compared} comparisons`);
    compared = 0;
    index.shadowedPatterns('r500');
    assert.ok(compared <= 10, `${compared} comparisons`);
    const narrow = routeOf('r-new', { streams: ['app0/room-500-x'], priority: 1 });
    compared = 0;
    index.apply({ type: 'added', object: narrow });
    assert.deepEqual(index.shadowedPatterns('r-new'), [{ pattern: 'app0/room-500-x', by: 'r500' }]);
    assert.ok(compared <= 10, `${compared} comparisons`);
  });
});
