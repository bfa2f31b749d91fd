import { test } from 'node:test';
import assert from 'node:assert/strict';
import { pathPolicyKey } from './path-policy.ts';
import type { StreamRoutePath } from './crds/index.ts';

test('a path that says nothing has the default key', () => {
  assert.equal(pathPolicyKey({ policy: 'LowestLatency' }), 'default');
  assert.equal(pathPolicyKey({ policy: 'LowestLatency', via: [], avoid: { regions: [], providers: [] } }), 'default');
});

test('the key is the same in every release, since nodes and status refer to it', () => {
  assert.equal(pathPolicyKey({ policy: 'LowestCost' }), 'lowestcost-893bf8a5017efdbc');
  assert.equal(pathPolicyKey({ policy: 'LowestLatency', via: ['eu'] }), 'lowestlatency-dbce2f7c00c45e53');
});

test('the order of via counts, the order of avoid does not', () => {
  const key = (path: Partial<StreamRoutePath>): string => pathPolicyKey({ policy: 'Balanced', ...path });
  assert.notEqual(key({ via: ['a', 'b'] }), key({ via: ['b', 'a'] }));
  assert.equal(key({ avoid: { regions: ['a', 'b'] } }), key({ avoid: { regions: ['b', 'a'] } }));
  assert.notEqual(key({ avoid: { regions: ['a'] } }), key({ avoid: { providers: ['a'] } }));
  assert.notEqual(key({ via: ['a,b'] }), key({ via: ['a', 'b'] }));
});
