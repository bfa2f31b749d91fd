import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { NODE_CERTIFICATE_BYTES, NODE_KEY_BYTES } from '@millrace/api';
import { CookieJar, RateLimit } from './cookie.ts';
import { decodeHello, encodeHello, type Hello } from './hello.ts';
import { KeyRing } from './keys.ts';
import { ReplayWindow } from './replay.ts';
import { LinkSession } from './session.ts';
import {
  COOKIE_REPLY_BYTES,
  HELLO_BYTES,
  INITIATION_BYTES,
  MIN_DATAGRAM,
  readCounter,
  RESPONSE_BYTES,
  writeDataHeader,
} from './wire.ts';

describe('The replay window', () => {
  test('takes each counter once, whatever the order, as far back as 2,048 and more', () => {
    const steps = fc.array(
      fc.oneof(fc.integer({ min: -3000, max: 40 }), fc.integer({ min: -64, max: 3 }), fc.integer({ min: 0, max: 9000 })),
      {
        maxLength: 300,
      },
    );
    fc.assert(
      fc.property(steps, (moves) => {
        const window = new ReplayWindow();
        const seen = new Set<number>();
        for (const move of moves) {
          const counter = Math.max(0, window.highest + move);
          const fresh = window.isFresh(counter);
          if (seen.has(counter)) assert.equal(fresh, false, `${counter} was seen`);
          else if (window.highest - counter < 2048) assert.equal(fresh, true, `${counter} is new, highest ${window.highest}`);
          if (!fresh) continue;
          seen.add(counter);
          window.mark(counter);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('works beyond 32 bits', () => {
    const window = new ReplayWindow();
    const far = 2 ** 40;
    window.mark(far);
    assert.equal(window.isFresh(far), false);
    assert.equal(window.isFresh(far - 1), true);
    assert.equal(window.isFresh(far - 5000), false);
    const header = Buffer.alloc(16);
    writeDataHeader(header, 7, far + 3);
    assert.equal(readCounter(header), far + 3);
  });
});

describe('A link session', () => {
  const key = createSecretKey(Buffer.alloc(32, 3));
  const init = { localIndex: 1, remoteIndex: 2, keyId: 'k', nowMs: 0, keys: { send: key, receive: key } };

  test('opens what the other end sealed, once, and nothing that was changed anywhere', () => {
    const [one, other] = [new LinkSession({ ...init, initiator: true }), new LinkSession({ ...init, initiator: false })];
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 1368 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (bytes, place, flip) => {
          const datagram = one.seal(Buffer.from(bytes));
          const changed = Buffer.from(datagram);
          changed[place % changed.length]! ^= flip;
          const result = other.open(changed);
          assert.ok(result === 'forged' || result === 'replayed');
          assert.deepEqual(other.open(datagram), Buffer.from(bytes));
          assert.equal(other.open(datagram), 'replayed');
        },
      ),
    );
  });
});

describe('A hello', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,119}$/);
  const bytesOf = (count: number) => fc.uint8Array({ minLength: count, maxLength: count }).map((bytes) => Buffer.from(bytes));
  const hello: fc.Arbitrary<Hello> = fc.record(
    {
      index: fc.nat(),
      stamp: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      boot: fc.constant('0123456789abcdef'),
      generation: fc.nat(),
      capabilities: fc.nat(),
      maxDatagram: fc.nat({ max: 65_535 }),
      receiveWindow: fc.nat({ max: 65_535 }),
      node: name,
      peer: name,
      nodeKey: bytesOf(NODE_KEY_BYTES),
      certificate: bytesOf(NODE_CERTIFICATE_BYTES),
    },
    { noNullPrototype: true },
  );

  test('comes out as it went in', () => {
    const signature = bytesOf(64);
    fc.assert(
      fc.property(hello, signature, (it, sealed) => {
        const bytes = encodeHello(it, () => sealed);
        assert.deepEqual(decodeHello(bytes), { ...it, signature: sealed, signed: bytes.subarray(0, -64) });
      }),
    );
  });

  test('with arbitrary bytes is decoded or refused, never thrown', () => {
    fc.assert(fc.property(bytesOf(HELLO_BYTES), (bytes) => void decodeHello(bytes)));
    assert.equal(decodeHello(Buffer.alloc(10)), undefined);
  });

  test('an answer is never larger than its question, so that nobody can amplify an attack with it', () => {
    for (const bytes of [RESPONSE_BYTES, COOKIE_REPLY_BYTES]) assert.ok(bytes <= INITIATION_BYTES);
    assert.ok(INITIATION_BYTES <= MIN_DATAGRAM, 'every path carries it');
  });
});

describe('What strangers can make an endpoint do', () => {
  test('is bounded by a rate', () => {
    const limit = new RateLimit(10, 5, 0);
    const taken = (nowMs: number): number => Array.from({ length: 20 }, () => limit.take(nowMs)).filter(Boolean).length;
    assert.equal(taken(0), 5);
    assert.equal(taken(300), 3);
    assert.equal(taken(60_000), 5);
  });

  test('a cookie holds for its address only, and for two to four minutes', () => {
    const jar = new CookieJar((bytes) => Buffer.from(Array.from({ length: bytes }, (_, i) => (i * 31 + bytes) & 0xff)), 0);
    const cookie = jar.bake('10.0.0.1 5', 0);
    assert.ok(jar.verify(cookie, '10.0.0.1 5', 100_000));
    assert.ok(!jar.verify(cookie, '10.0.0.1 6', 100_000));
  });
});

describe('A key ring', () => {
  test('refuses an empty list and short secrets, naming the key', () => {
    assert.throws(() => new KeyRing([]), /at least one/);
    assert.throws(() => new KeyRing([{ id: 'weak', secret: 'YWJj' }]), /"weak" must be at least 16 bytes/);
  });
});
