import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FakeClock } from '@millrace/testkit';
import { AddressRate, clientGroup, Problem, TrustedProxies, trusts } from './index.ts';

test('an IPv4 client counts for itself, also through a socket of both families; an IPv6 one for its /64', () => {
  assert.equal(clientGroup('192.0.2.1'), '192.0.2.1');
  assert.equal(clientGroup('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(clientGroup('2001:db8::1'), '2001:db8:0:0::/64');
  assert.equal(clientGroup('2001:0db8:0:0:ffff:ffff:ffff:ffff'), '2001:db8:0:0::/64');
  assert.equal(clientGroup('2001:db8:0:1::'), '2001:db8:0:1::/64');
  assert.equal(clientGroup('fe80::1%eth0'), 'fe80:0:0:0::/64');
  assert.equal(clientGroup('::1'), '0:0:0:0::/64');
  assert.equal(clientGroup(undefined), 'unknown');
});

test('all addresses of a /64 are one client, however they are written', () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      if (address.includes('.')) return;
      const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
      assert.equal(clientGroup(address), clientGroup(canonical), address);
    }),
  );
});

test('proxies are trusted by address or network, and a setting that is neither is refused with an example', () => {
  const trusted = trusts(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32']);
  const asked = ['10.1.2.3', '::ffff:10.9.9.9', '192.0.2.7', '2001:db8:1::1', '192.0.2.8', '11.0.0.1', '2001:db9::1', 'x', ''];
  assert.deepEqual(asked.map(trusted), [true, true, true, true, false, false, false, false, false]);
  for (const wrong of ['proxy.example', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '*'])
    assert.match(TrustedProxies.safeParse([wrong]).error?.issues[0]?.message ?? 'taken', /e\.g\. 10\.0\.0\.0\/8/, wrong);
  assert.deepEqual(TrustedProxies.parse(undefined), []);
});

test('an address gets its burst, then its rate; others are not affected, and a refusal takes no token', () => {
  const clock = new FakeClock();
  const rate = new AddressRate({ perSecond: 2, burst: 3, clock });
  const take = (address: string, times: number): boolean[] => Array.from({ length: times }, () => rate.take(address));
  assert.deepEqual(take('192.0.2.1', 5), [true, true, true, false, false]);
  assert.deepEqual(take('192.0.2.2', 1), [true]);
  clock.advance(500);
  assert.deepEqual(take('192.0.2.1', 2), [true, false]);
  assert.throws(
    () => rate.require('192.0.2.1', 'new sessions'),
    (error) =>
      error instanceof Problem &&
      error.status === 429 &&
      error.headers['retry-after'] === '1' &&
      /at most 2 new sessions a second/.test(error.message),
  );
});

test('a flood of addresses costs bounded memory, and no more time for each than before', () => {
  const rate = new AddressRate({ perSecond: 1, burst: 1, clock: new FakeClock() });
  const start = process.cpuUsage();
  for (let i = 0; i < 200_000; i++) rate.take(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  const { user, system } = process.cpuUsage(start);
  assert.ok(rate.addresses >= 9_000 && rate.addresses <= 10_000, `${rate.addresses} addresses`);
  // About 1 µs each; to evict one at a time took 12.
  assert.ok((user + system) / 200_000 < 6, `${(user + system) / 200_000} µs each`);
});
