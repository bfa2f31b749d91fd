import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_POLICY, type NodeSettings, type StreamState } from '@millrace/api';
import { detourOf, planRoute } from './route-plan.ts';

const peers = ['c-relay', 'c-relay-2', 'b-relay', 'd-relay', 'a-relay'].map((node, index) => ({
  node,
  region: node[0]!,
  host: `192.0.2.${index + 1}`,
  port: 40100,
}));

/** A policy of another name than the default one demands its path, unless said otherwise. */
function state(
  region: string,
  node = `${region}-push`,
  policyKey = 'default',
  pathRequired = policyKey !== 'default',
): StreamState {
  return {
    stream: 'live/demo',
    epoch: 1,
    since: 0,
    origin: { node, region, host: '192.0.2.99', port: 40100 },
    policy: { ...DEFAULT_POLICY, policyKey, ...(pathRequired ? { pathRequired } : {}) },
  };
}

function settings(paths: string[][], policy = 'default'): Pick<NodeSettings, 'self' | 'routes' | 'peers'> {
  return {
    self: { node: 'c-pull', region: 'c', cordoned: false },
    peers,
    routes: [{ originRegion: 'a', policy, paths: paths.map((hops) => ({ hops })) }],
  };
}

function nodes(plan: ReturnType<typeof planRoute>): string[][] | string {
  return plan.ok ? [plan.path, plan.backup] : plan.reason;
}

describe('the route to a stream', () => {
  test('published on this node is empty', () => {
    assert.deepEqual(nodes(planRoute(state('c', 'c-pull'), settings([]))), [[], []]);
  });

  test('of the same region is the origin itself', () => {
    assert.deepEqual(nodes(planRoute(state('c'), settings([]))), [['c-push'], []]);
  });

  test('of another region follows the first two programmed paths, with the origin at the end', () => {
    const plan = planRoute(
      state('a'),
      settings([
        ['c-relay', 'b-relay', 'a-relay'],
        ['c-relay-2', 'd-relay', 'a-relay'],
        ['c-relay', 'a-relay'],
      ]),
    );
    assert.deepEqual(nodes(plan), [
      ['c-relay', 'b-relay', 'a-relay', 'a-push'],
      ['c-relay-2', 'd-relay', 'a-relay', 'a-push'],
    ]);
  });

  test('does not name the origin twice when it is the last relay itself', () => {
    assert.deepEqual(nodes(planRoute(state('a', 'a-relay'), settings([['c-relay', 'a-relay']]))), [['c-relay', 'a-relay'], []]);
  });

  test('skips this node when it is a relay on the path', () => {
    const here = { ...settings([['c-relay', 'a-relay']]), self: { node: 'c-relay', region: 'c', cordoned: false } };
    assert.deepEqual(nodes(planRoute(state('a'), here)), [['a-relay', 'a-push'], []]);
  });

  test('leaves out a path with a hop whose address is not known', () => {
    assert.deepEqual(
      nodes(
        planRoute(
          state('a'),
          settings([
            ['c-relay', 'gone', 'a-relay'],
            ['c-relay-2', 'a-relay'],
          ]),
        ),
      ),
      [['c-relay-2', 'a-relay', 'a-push'], []],
    );
  });

  test('follows the routes of the stream’s own path policy', () => {
    const routes = [
      ...settings([['c-relay', 'a-relay']]).routes,
      ...settings([['c-relay', 'b-relay', 'a-relay']], 'via-b').routes,
    ];
    assert.deepEqual(nodes(planRoute(state('a', 'a-push', 'via-b'), { ...settings([]), routes })), [
      ['c-relay', 'b-relay', 'a-relay', 'a-push'],
      [],
    ]);
  });

  test('a policy that only prefers a path takes the default route until its own is planned', () => {
    const preferring = state('a', 'a-push', 'lowestcost', false);
    assert.deepEqual(nodes(planRoute(preferring, settings([['c-relay', 'a-relay']]))), [['c-relay', 'a-relay', 'a-push'], []]);
    assert.deepEqual(nodes(planRoute(preferring, { ...settings([]), routes: [] })), [['a-push'], []]);
  });

  test('without any route goes straight to the origin, but never against a path policy', () => {
    assert.deepEqual(nodes(planRoute(state('a'), { ...settings([]), routes: [] })), [['a-push'], []]);
    assert.match(
      String(nodes(planRoute(state('a', 'a-push', 'via-b'), settings([['c-relay', 'a-relay']])))),
      /no route from region a/,
    );
  });

  test('when no path works goes straight to the origin, with the planned path as backup, unless the path policy forbids it', () => {
    const planned = planRoute(state('a'), settings([['c-relay', 'a-relay']]));
    assert.deepEqual(nodes(detourOf(planned, state('a'))!), [['a-push'], ['c-relay', 'a-relay', 'a-push']]);
    const bound = state('a', 'a-push', 'via b');
    assert.equal(detourOf(planRoute(bound, settings([['c-relay', 'b-relay', 'a-relay']], 'via b')), bound), undefined);
    assert.equal(detourOf(planRoute(state('c'), settings([])), state('c')), undefined, 'it is straight already');
  });
});
