import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '@millrace/service';
import { OperatorConfig } from '../config.ts';
import { certificateNames } from './names.ts';
import { controlTrust, trustConfigMap } from './trust.ts';

/** What the flags of an operator's process mean. */
function trustOf(...argv: string[]): string {
  const trust = controlTrust(loadConfig(OperatorConfig, { argv, env: {} }));
  return `${trust.kind}, pods mount ${trustConfigMap(trust) ?? 'nothing'}`;
}

test('without flags the operator keeps the certificate of control; a CA or a word says that somebody else does', () => {
  assert.equal(trustOf(), 'managed, pods mount millrace-control-ca');
  assert.equal(trustOf('--control-url=wss://control.example.com/v1/agent'), 'managed, pods mount millrace-control-ca');
  assert.equal(trustOf('--control-ca=corporate-ca'), 'own, pods mount corporate-ca');
  assert.equal(trustOf('--control-certificate=own'), 'own, pods mount nothing');
  assert.equal(trustOf('--control-url=ws://control:8080/v1/agent'), 'plain, pods mount nothing');
});

test('a certificate is for the Service by all its names, and for the host that the URL names', () => {
  assert.deepEqual(certificateNames('wss://millrace-control:8080/v1/agent', 'fleet'), [
    'millrace-control',
    'millrace-control.fleet',
    'millrace-control.fleet.svc',
    'millrace-control.fleet.svc.cluster.local',
  ]);
  assert.equal(certificateNames('wss://control.example.com/v1/agent', 'fleet').at(-1), 'control.example.com');
  assert.equal(certificateNames('wss://[2001:db8::7]:8443/v1/agent', 'fleet').at(-1), '2001:db8::7');
  assert.ok(certificateNames('wss://gateway/v1/agent', 'fleet').includes('gateway.fleet.svc'));
});
