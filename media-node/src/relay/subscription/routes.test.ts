import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { routesFor, type RouteSource } from './routes.ts';

const hops = (names: string) => (names ? names.split(' ') : []);
const local = (path: string, backup = ''): RouteSource => ({
  owner: 'local',
  local: true,
  path: hops(path),
  backup: hops(backup),
});
const behind = (path: string, backup = ''): RouteSource => ({
  owner: 'node',
  local: false,
  path: hops(path),
  backup: hops(backup),
});

describe('ways to a stream, seen from b', () => {
  const cases: [what: string, sources: RouteSource[], downstream: string[], ways: string[]][] = [
    ['own path, then own backup', [local('x a', 'y a')], [], ['x a', 'y a']],
    ['a path made here goes before one made behind', [behind('x a'), local('y a')], ['c'], ['y a', 'x a']],
    ['all paths before all backups', [local('x a', 'y a'), behind('z a')], ['c'], ['x a', 'z a', 'y a']],
    ["a backup made behind is taken from b's own place on it", [behind('x a', 'b y a')], ['c'], ['x a', 'y a']],
    ['a backup made behind that passes b by is not for b', [behind('x a', 'y a')], ['c'], ['x a']],
    ['the same way is tried once', [local('x a', 'x a'), behind('x a')], ['c'], ['x a']],
    ['a way through b itself is a loop', [local('x b a')], [], []],
    ['a way through a node that subscribes here is a loop', [local('c a', 'x a')], ['c'], ['x a']],
    ['published here or nowhere', [local('')], [], []],
  ];
  for (const [what, sources, downstream, ways] of cases) {
    test(what, () => {
      const found = routesFor('b', sources, new Set(downstream)).map((route) => route.hops.join(' '));
      assert.deepEqual(found, ways);
    });
  }
});
