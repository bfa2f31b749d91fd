import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { localAddressTo } from '../local-address.ts';
import { machineAddresses, nodeAddresses, ownAddresses, requireOwnHost } from './machine-addresses.ts';

describe('HOST', () => {
  const own = ['192.0.2.7', '2001:db8::7'];

  test('may be an address of this machine in any notation', () => {
    assert.deepEqual(
      ['192.0.2.7', '2001:DB8:0::7', '127.0.0.1', '::1', 'localhost'].map((host) => requireOwnHost(host, own)),
      ['192.0.2.7', '2001:db8::7', '127.0.0.1', '::1', '127.0.0.1'],
    );
  });

  for (const [host, why] of [
    ['192.0.2.8', /HOST: 192\.0\.2\.8 is not an address of this machine.*make up HOST=192\.0\.2\.7/],
    ['0.0.0.0', /HOST: 0\.0\.0\.0 is not the address of a single host.*make up HOST=192\.0\.2\.7/],
    ['fe80::1%eth0', /has a zone .*make up HOST=192\.0\.2\.7/],
    ['laptop.example', /HOST: "laptop\.example" is a name.*make up HOST=192\.0\.2\.7/],
    ['[2001:db8::7]', /is in brackets/],
  ] as const)
    test(`${host} is refused with the remedy`, () => assert.throws(() => requireOwnHost(host, own), why));

  test('on a machine with loopback only, the remedy is to leave it out', () => {
    assert.throws(() => requireOwnHost('192.0.2.8', []), /loopback addresses only: make up without HOST/);
  });
});

describe('the addresses that media nodes announce', () => {
  test('on loopback are that address and the machine’s own; with HOST only that one', () => {
    assert.deepEqual(nodeAddresses('127.0.0.1', ['192.0.2.7', '2001:db8::7']), ['127.0.0.1', '192.0.2.7', '2001:db8::7']);
    assert.deepEqual(nodeAddresses('127.0.0.1', []), ['127.0.0.1']);
    assert.deepEqual(nodeAddresses('192.0.2.7', ['192.0.2.7', '2001:db8::7']), ['192.0.2.7']);
  });

  test('do not include loopback or link-local addresses of interfaces', () => {
    const at = (address: string, internal = false) => ({ address, internal }) as never;
    assert.deepEqual(
      machineAddresses({
        lo: [at('127.0.0.1', true)],
        eth0: [at('192.0.2.7'), at('fe80::1'), at('2001:DB8::7')],
        usb0: [at('169.254.3.4')],
      }),
      ['192.0.2.7', '2001:db8::7'],
    );
  });

  test('are at most one of each family, and each is the machine’s', async () => {
    const own = await ownAddresses();
    assert.ok(own.every((address) => machineAddresses().includes(address)));
    assert.ok(
      own.filter((address) => address.includes(':')).length <= 1 && own.filter((address) => address.includes('.')).length <= 1,
    );
  });

  test('packets to the machine itself have their destination as source address', async () => {
    assert.equal(await localAddressTo('127.0.0.1'), '127.0.0.1');
    for (const address of await ownAddresses()) assert.equal(await localAddressTo(address), address);
  });
});
