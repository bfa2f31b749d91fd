import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { canonicalHost, Host, ipFamilyOf, isLoopbackHost, urlHost } from './host.ts';

describe('where a host is reached', () => {
  for (const good of [
    '192.0.2.1',
    '2001:db8::',
    '2001:DB8:0:0::1',
    '::1',
    '::ffff:192.0.2.1',
    'fd00::2',
    'edge.example.org',
    'node-1',
    '1.example',
  ])
    test(`${good} is taken`, () => assert.equal(Host.parse(good), good));

  for (const [bad, why] of [
    ['fe80::1%eth0', /fe80::1%eth0 has a zone .* without a zone/],
    ['[2001:db8::1]', /is in brackets, .* leave them out/],
    ['2001:db8::1:::', /is not an IPv6 address; .* without a port/],
    ['edge.example:8080', /is not an IPv6 address; .* without a port/],
    ['192.0.2.300', /is not an IPv4 address/],
    ['192.0.2', /is not an IPv4 address/],
    ['0.0.0.0', /is not the address of a single host/],
    ['::', /is not the address of a single host/],
    ['ff02::1', /is not the address of a single host/],
    ['a b', /is neither an IP address nor a DNS name/],
    ['-edge', /is neither an IP address nor a DNS name/],
    ['', /Too small/],
  ] as const)
    test(`${JSON.stringify(bad)} is refused, with the reason`, () => {
      const result = Host.safeParse(bad);
      assert.ok(!result.success);
      assert.match(result.error.issues[0]!.message, why);
    });

  test('one host has one text, however it is written', () => {
    assert.deepEqual(
      ['2001:DB8:0:0:0:0:0:1', '2001:db8::1', '::FFFF:192.0.2.1', '::ffff:c000:201', '192.0.2.1', 'Edge.Example'].map(
        canonicalHost,
      ),
      ['2001:db8::1', '2001:db8::1', '192.0.2.1', '192.0.2.1', '192.0.2.1', 'edge.example'],
    );
  });

  test('the family of a mapped IPv4 address is IPv4, that of a name is not known', () => {
    assert.deepEqual(['192.0.2.1', '::1', '::ffff:192.0.2.1', 'edge.example'].map(ipFamilyOf), [4, 6, 4, undefined]);
  });

  test('IPv6 has brackets in a URL, and such a URL is one', () => {
    assert.deepEqual(['192.0.2.1', '2001:db8::', 'edge.example'].map(urlHost), ['192.0.2.1', '[2001:db8::]', 'edge.example']);
    assert.equal(new URL(`http://${urlHost('2001:db8::')}:8080`).port, '8080');
  });

  test('loopback is 127.0.0.0/8, ::1 and localhost, mapped addresses too', () => {
    assert.deepEqual(
      ['127.0.0.1', '127.9.9.9', '::1', '0:0::1', '::ffff:127.0.0.1', 'localhost', '192.0.2.1', 'fd00::1', 'local'].map(
        isLoopbackHost,
      ),
      [true, true, true, true, true, true, false, false, false],
    );
  });
});
