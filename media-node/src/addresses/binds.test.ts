import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { planBinds, serviceHost, trunkHosts } from './binds.ts';
import { announcedCandidates } from './candidates.ts';

const machine = ['127.0.0.1', '::1', '192.0.2.7', '10.0.0.5', '2001:db8::7'];
const binds = (...hosts: string[]): string[] => planBinds({ hosts, machine, families: [4, 6] });

describe('where media listens', () => {
  test('at the announced addresses, when the machine has all of them', () => {
    assert.deepEqual(binds('127.0.0.1'), ['127.0.0.1']);
    assert.deepEqual(binds('2001:db8::7'), ['2001:db8::7']);
    assert.deepEqual(binds('127.0.0.1', '192.0.2.7', '2001:db8::7', '::1'), ['127.0.0.1', '192.0.2.7', '2001:db8::7', '::1']);
  });
  test('at all of a family when one of its addresses is not of this machine (one-to-one NAT)', () => {
    assert.deepEqual(binds('203.0.113.9'), ['0.0.0.0']);
    assert.deepEqual(binds('10.0.0.5', '203.0.113.9', '2001:db8::7'), ['0.0.0.0', '2001:db8::7']);
    assert.deepEqual(binds('2001:db8::9'), ['::']);
  });
  test('at all of both families for a name: what it resolves to may change', () => {
    assert.deepEqual(binds('edge.example', '192.0.2.7'), ['0.0.0.0', '::']);
  });
  test('only in families that the machine has', () => {
    assert.deepEqual(planBinds({ hosts: ['edge.example'], machine, families: [4] }), ['0.0.0.0']);
    assert.deepEqual(planBinds({ hosts: ['2001:db8::7'], machine, families: [4] }), []);
  });
});

describe('where HTTP and trunks listen', () => {
  test('a node whose first address is loopback listens there only, and others on all addresses', () => {
    assert.deepEqual(
      [['127.0.0.1', '192.0.2.7'], ['::1'], ['192.0.2.7'], ['2001:db8::7', '192.0.2.7'], ['edge.example']].map((hosts) =>
        serviceHost(hosts, [4, 6]),
      ),
      ['127.0.0.1', '::1', '::', '::', '::'],
    );
    assert.equal(serviceHost(['192.0.2.7'], [4]), '0.0.0.0');
  });
  test('peers are told of the addresses at which trunks listen', () => {
    assert.deepEqual(trunkHosts(['127.0.0.1', '192.0.2.7'], '127.0.0.1'), { host: '127.0.0.1' });
    assert.deepEqual(trunkHosts(['192.0.2.7', '2001:db8::7'], '::'), { host: '192.0.2.7', otherHosts: ['2001:db8::7'] });
  });
});

test('each announced address becomes a candidate, the first with the highest priority and all with different foundations', () => {
  const own = {
    foundation: 'udpcandidate',
    priority: 1_076_302_079,
    ip: '0.0.0.0',
    address: '0.0.0.0',
    protocol: 'udp',
    port: 40_000,
    type: 'host',
  } as const;
  const candidates = announcedCandidates([own, { ...own, address: '::' }], ['192.0.2.7', '2001:db8::7']);
  assert.deepEqual(
    candidates.map(({ address, port, priority, foundation }) => [address, port, priority, foundation]),
    [
      ['192.0.2.7', 40_000, 1_076_302_079, 'udpcandidate0'],
      ['2001:db8::7', 40_000, 1_076_301_823, 'udpcandidate1'],
    ],
  );
});
