import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '@millrace/kube';
import { looksElsewhere } from './earlier-pods.ts';

test('pods of edges that look for control at another address are of an earlier run; others are let be', () => {
  const pod = (kind: string, ...urls: string[]): Pod => {
    const env = urls.map((value) => ({ name: 'MILLRACE_CONTROL_URL', value }));
    const ownerReferences = [{ apiVersion: 'v1', kind, name: 'a', uid: 'u', controller: true }];
    return { metadata: { name: 'p', ownerReferences }, spec: { containers: [{ name: 'c', image: 'i', env }] } };
  };
  const [here, there] = ['ws://127.0.0.1:7080/v1/agent', 'ws://192.0.2.7:7080/v1/agent'];
  const found = [
    pod('MediaEdge', here),
    pod('MediaEdge', there),
    pod('MediaEdge', there, here),
    pod('MediaEdge'),
    pod('ReplicaSet', there),
  ].map((one) => looksElsewhere(one, here));
  assert.deepEqual(found, [false, true, false, false, false]);
});
