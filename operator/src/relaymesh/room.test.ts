import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { MeshNode, NamedPolicy } from './model.ts';
import { peersOfRelays, rankRouteRequests } from './room.ts';

const policy = (key: string): NamedPolicy => ({ key, policy: 'Balanced', via: [], avoidRegions: [], avoidProviders: [] });
const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);
const keysOf = (requests: ReturnType<typeof rankRouteRequests>): string[] =>
  requests.map(({ origin, policy: { key } }) => `${origin}/${key}`);

describe('which routes get the room of a node', () => {
  const origins = ['o0', 'o1', 'o2', 'here'];
  const policies = ['default', 'p0', 'p1', 'p2', 'p3'].map(policy);

  test('those in use first, then the default policy, and none from its own region', () => {
    const requests = keysOf(
      rankRouteRequests('here', origins, policies, ({ origin, policy: { key } }) => origin === 'o1' && key === 'p2'),
    );
    assert.equal(requests.length, 15);
    assert.equal(requests[0], 'o1/p2');
    assert.deepEqual(requests.slice(1, 4).sort(), ['o0/default', 'o1/default', 'o2/default']);
    assert.ok(requests.every((request) => !request.startsWith('here')));
  });

  test('whatever the room is, no region has two policies more than another, and the order of input does not matter', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 20 }), fc.nat(200), (regions, count, room) => {
        const from = names('o', regions);
        const all = names('p', count).map(policy);
        const requests = rankRouteRequests('here', from, all, () => false);
        assert.equal(new Set(keysOf(requests)).size, regions * count);
        const chosen = requests.slice(0, room);
        const each = from.map((region) => chosen.filter(({ origin }) => origin === region).length);
        assert.ok(Math.max(...each) - Math.min(...each) <= 1, each.join());
        assert.deepEqual(keysOf(rankRouteRequests('here', from.toReversed(), all.toReversed(), () => false)), keysOf(requests));
      }),
    );
  });

  test('one policy more moves few of the routes that are held', () => {
    const from = names('o', 10);
    const before = names('p', 100).map(policy);
    const held = new Set(keysOf(rankRouteRequests('here', from, before, () => false)).slice(0, 500));
    const after = keysOf(rankRouteRequests('here', from, [...before, policy('new')], () => false)).slice(0, 500);
    assert.ok(after.filter((request) => !held.has(request)).length <= 20);
  });
});

describe('which relays probe each other', () => {
  const relays = (count: number): MeshNode[] => names('r', count).map((name, i) => ({ name, region: `g${i % 7}` }) as MeshNode);

  test('all of them where there is room', () => {
    const peers = peersOfRelays(relays(5), 4);
    assert.ok([...peers.values()].every((list) => list.length === 4));
  });

  test('beyond that each has as many as fit, of other regions too, and a pair probes each other from both ends or not at all', () => {
    const peers = peersOfRelays(relays(60), 20);
    for (const [name, list] of peers) {
      assert.equal(list.length, 20);
      assert.equal(new Set(list.map((peer) => peer.name)).size, 20);
      assert.equal(new Set(list.map(({ region }) => region)).size, 7);
      for (const peer of list)
        assert.ok(
          peers.get(peer.name)?.some((other) => other.name === name),
          `${peer.name} probes ${name}`,
        );
    }
  });
});
