import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podStatus } from './pod-status.ts';

test('a status has one address of each family, as a kube-apiserver requires', () => {
  const addresses = {
    hostIPs: ['127.0.0.1', '192.0.2.7', '2001:db8::7', '2001:db8::8'],
    podIPs: ['::1', '127.0.0.1', '192.0.2.7'],
  };
  const status = podStatus({ metadata: { name: 'p' }, spec: { containers: [] } }, [], undefined, addresses, 0);
  assert.deepEqual(status.hostIPs, [{ ip: '127.0.0.1' }, { ip: '2001:db8::7' }]);
  assert.deepEqual(status.podIPs, [{ ip: '::1' }, { ip: '127.0.0.1' }]);
  assert.deepEqual([status.hostIP, status.podIP], ['127.0.0.1', '::1']);
});
