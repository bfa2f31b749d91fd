import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StreamRoute, StreamRouteSpec } from '@millrace/api';
import { ruleOf } from './observe.ts';

function policyOf(path: Partial<StreamRouteSpec['path']>) {
  const spec = {
    streams: ['live/*'],
    priority: 0,
    origin: { onDuplicate: 'Reject' },
    distribution: { lingerSeconds: 10 },
    path: { policy: 'LowestLatency', ...path },
    quality: {},
    access: { publish: 'Token', play: 'Token' },
  };
  return ruleOf({ metadata: { name: 'r' }, spec } as unknown as StreamRoute).policy;
}

test('via and avoid require a path that satisfies them; a policy alone, or empty lists, only express a preference', () => {
  assert.equal(policyOf({ via: ['eu'] }).pathRequired, true);
  assert.equal(policyOf({ avoid: { providers: ['cloud-a'] } }).pathRequired, true);
  assert.equal(policyOf({ policy: 'LowestCost' }).pathRequired, undefined);
  assert.equal(policyOf({ via: [], avoid: { regions: [] } }).pathRequired, undefined);
});
