import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '@millrace/testkit';
import { ComingSessions } from './coming-sessions.ts';

const STREAM = 'live/demo';

describe('A placement', () => {
  test('counts once for an address and stream, and again after ten seconds at the latest', () => {
    const clock = new FakeClock();
    const coming = new ComingSessions(clock);
    const client = { address: '192.0.2.1' };
    assert.ok(coming.count(STREAM, client));
    assert.ok(!coming.count(STREAM, client));
    assert.ok(coming.count('live/other', client), 'another stream');
    assert.ok(coming.count(STREAM, { address: '192.0.2.2' }), 'another address');
    clock.advance(4_999);
    assert.ok(!coming.count(STREAM, client));
    clock.advance(5_001);
    assert.ok(coming.count(STREAM, client));
    clock.advance(3_600_000);
    assert.ok(coming.count(STREAM, client));
  });

  test('counts once for a /64 of IPv6, and once for a token from any number of addresses', () => {
    const coming = new ComingSessions(new FakeClock());
    assert.ok(coming.count(STREAM, { address: '2001:db8::1' }));
    assert.ok(!coming.count(STREAM, { address: '2001:db8::ffff' }));
    assert.ok(coming.count(STREAM, { address: '2001:db8:0:1::1' }));
    assert.ok(coming.count(STREAM, { address: '192.0.2.1', tokenId: 'one' }));
    assert.ok(!coming.count(STREAM, { address: '192.0.2.2', tokenId: 'one' }), 'the token has counted');
    assert.ok(!coming.count(STREAM, { address: '192.0.2.1', tokenId: 'two' }), 'the address has counted');
    assert.ok(coming.count(STREAM, { address: '192.0.2.2', tokenId: 'two' }), 'a refusal takes nothing');
  });

  test('of one client counts for 16 streams, however many it names', () => {
    const coming = new ComingSessions(new FakeClock());
    const counted = (client: object): number =>
      Array.from({ length: 1_000 }, (_, i) => coming.count(`live/${i}`, client)).filter(Boolean).length;
    assert.equal(counted({ address: '192.0.2.1' }), 16);
    assert.equal(counted({ tokenId: 'one' }), 16);
  });

  test('counts always when an app does not say for whom it is', () => {
    const coming = new ComingSessions(new FakeClock());
    for (let i = 0; i < 100; i++) assert.ok(coming.count(STREAM, {}));
  });

  test('of more clients than are remembered does not count, until others are forgotten', () => {
    const clock = new FakeClock();
    const coming = new ComingSessions(clock);
    const counted = (net: number): number =>
      Array.from({ length: 30_000 }, (_, i) => coming.count(STREAM, { address: `${net}.0.${i >> 8}.${i & 255}` })).filter(Boolean)
        .length;
    assert.equal(counted(10), 20_000);
    clock.advance(5_000);
    assert.equal(counted(11), 20_000);
  });
});
