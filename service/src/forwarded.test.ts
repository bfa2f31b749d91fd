import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import express from 'express';
import fc from 'fast-check';
import { cameByHttps, clientAddress, forwardedForHops, forwardedHops } from './forwarded.ts';
import { canonicalAddress, identifyClient, serveHttp, trusts, type HttpService } from './index.ts';

const isTrusted = trusts(['127.0.0.0/8', '10.0.0.0/8', '2001:db8:ffff::/48']);

describe('a hop of X-Forwarded-For and of Forwarded', () => {
  const FORMS: [written: string, address: string | undefined][] = [
    ['192.0.2.60', '192.0.2.60'],
    ['192.0.2.60:4711', '192.0.2.60'],
    ['192.0.2.60:_hidden', '192.0.2.60'],
    ['2001:db8:cafe::17', '2001:db8:cafe::17'],
    ['2001:DB8:CAFE:0:0:0:0:17', '2001:db8:cafe::17'],
    ['[2001:db8:cafe::17]', '2001:db8:cafe::17'],
    ['[2001:db8:cafe::17]:4711', '2001:db8:cafe::17'],
    ['::ffff:192.0.2.60', '192.0.2.60'],
    ['[::ffff:c000:23c]:80', '192.0.2.60'],
    ['unknown', undefined],
    ['_hidden', undefined],
    ['_SEVKISEK:80', undefined],
    ['client.example', undefined],
    ['256.0.0.1', undefined],
    ['[192.0.2.60]', undefined],
    ['[2001:db8::1', undefined],
    ['192.0.2.60:4711:1', undefined],
  ];
  for (const [written, address] of FORMS) {
    test(`${written} is ${address ?? 'no address'}`, () => {
      assert.deepEqual(forwardedForHops(written), [address]);
      assert.deepEqual(forwardedForHops(`\t${written} `), [address]);
      assert.deepEqual(forwardedForHops(`"${written}"`), [address]);
      assert.deepEqual(forwardedHops(`for="${written}"`), [address]);
      assert.deepEqual(forwardedHops(` proto=https ; FOR="${written}";by=203.0.113.43`), [address]);
    });
  }

  test('Forwarded is read as RFC 7239 writes it: quotes, escapes, several elements, one without for', () => {
    assert.deepEqual(forwardedHops('for=192.0.2.43, for="[2001:db8:cafe::17]", for=unknown'), [
      '192.0.2.43',
      '2001:db8:cafe::17',
      undefined,
    ]);
    assert.deepEqual(forwardedHops('for="192\\.0.2.43";host="a,b;for=1.1.1.1", proto=http'), ['192.0.2.43', undefined]);
    assert.deepEqual(forwardedHops(', for=192.0.2.43 ,,'), ['192.0.2.43']);
    assert.deepEqual(forwardedHops(''), []);
  });

  test('a Forwarded with a fault anywhere is one hidden hop, so an open quote cannot hide what a proxy adds', () => {
    for (const text of [
      'for="192.0.2.1, for=203.0.113.9',
      'for',
      'for =192.0.2.1',
      'for=192.0.2.1 for=192.0.2.2',
      'for=a"b"',
      '=1',
    ])
      assert.deepEqual(forwardedHops(text), [undefined], text);
  });

  test('no text throws, and 16 KiB of any one character are read in no time', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        for (const hop of [...forwardedForHops(text), ...forwardedHops(text)])
          if (hop !== undefined) assert.equal(canonicalAddress(hop), hop);
      }),
      { numRuns: 2_000 },
    );
    const startedAt = performance.now();
    for (const piece of [' ', '\t', ',', ';', '"', '\\', '[', ':', 'a', 'a=', 'for=1', 'for="', ' ,', '\\"', '[:']) {
      const text = piece.repeat(16_384 / piece.length);
      for (const whole of [text, `${text}x`, `for="${text}`]) {
        forwardedForHops(whole);
        forwardedHops(whole);
      }
    }
    assert.ok(performance.now() - startedAt < 1_000, `${performance.now() - startedAt} ms`);
  });
});

describe('the client of a request', () => {
  const of = (peer: string, xff?: string, forwarded?: string): string =>
    clientAddress(
      peer,
      { ...(xff === undefined ? {} : { 'x-forwarded-for': xff }), ...(forwarded === undefined ? {} : { forwarded }) },
      isTrusted,
    );

  test('is the peer of the connection, unless that is a trusted proxy', () => {
    assert.equal(of('192.0.2.1', '198.51.100.7', 'for=198.51.100.7'), '192.0.2.1');
    assert.equal(of('::ffff:192.0.2.1'), '192.0.2.1');
    assert.equal(of('10.0.0.1'), '10.0.0.1');
    assert.equal(of('::ffff:10.0.0.1', '198.51.100.7'), '198.51.100.7');
  });

  test('is the rightmost hop that is not a trusted proxy; hops to its left may be forged', () => {
    assert.equal(of('10.0.0.1', '1.1.1.1, 198.51.100.7:4711, 10.0.0.2'), '198.51.100.7');
    assert.equal(of('10.0.0.1', undefined, 'for=1.1.1.1, for="198.51.100.7:4711", for=10.0.0.2'), '198.51.100.7');
    assert.equal(of('10.0.0.1', '10.0.0.3, 10.0.0.2'), '10.0.0.3', 'all are trusted: the one farthest away');
  });

  test('is the last proxy that is known where a hop is hidden', () => {
    assert.equal(of('10.0.0.1', '1.1.1.1, unknown, 10.0.0.2'), '10.0.0.2');
    assert.equal(of('10.0.0.1', undefined, 'for=1.1.1.1, for=_x'), '10.0.0.1');
  });

  test('is taken from two headers only if they agree: a proxy passes on the one that it does not write', () => {
    assert.equal(of('10.0.0.1', '198.51.100.7', 'for="198.51.100.7:80"'), '198.51.100.7');
    assert.equal(of('10.0.0.1', '198.51.100.7', 'for=1.1.1.1'), '10.0.0.1');
    assert.equal(of('10.0.0.1', '198.51.100.7', 'rubbish'), '10.0.0.1', 'a client can spoil what its proxy writes');
    assert.equal(of('10.0.0.1', '198.51.100.7', ''), '198.51.100.7');
  });

  test('is the same however proxies write it, and never a value that the client sent itself', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6()).filter((text) => !isTrusted(text) && canonicalAddress(text) !== undefined);
    const own = fc.oneof(fc.constantFrom('', 'unknown', '1.1.1.1', ',,', '"', 'for="1.1.1.1'), fc.string({ maxLength: 30 }));
    const proxy = fc.nat(255).map((last) => `10.0.0.${last}`);
    fc.assert(
      fc.property(address, own, fc.array(proxy, { maxLength: 3 }), fc.nat(3), (client, claimed, proxies, form) => {
        const bracketed = client.includes(':') ? `[${client}]` : client;
        const port = form % 2 === 0 ? '' : ':4711';
        const bare = form === 2 ? client : `${bracketed}${port}`;
        const expected = canonicalAddress(client);
        assert.equal(of('10.0.0.1', [claimed, bare, ...proxies].join(', ')), expected);
        const added = [`for="${bracketed}${port}"`, ...proxies.map((each) => `for=${each}`)].join(', ');
        assert.equal(of('10.0.0.1', undefined, added), expected);
        // Joined to what the client sent of its own, a good element counts, and a fault believes nothing.
        assert.ok([expected, '10.0.0.1'].includes(of('10.0.0.1', undefined, `${claimed}, ${added}`)));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the scheme that the client used', () => {
  const cases: [headers: Record<string, string>, isHttps: boolean][] = [
    [{}, false],
    [{ 'x-forwarded-proto': 'http' }, false],
    [{ 'x-forwarded-proto': 'https' }, true],
    [{ 'x-forwarded-proto': 'HTTPS , http' }, true],
    [{ 'x-forwarded-proto': 'http,https' }, true],
    [{ 'x-forwarded-proto': 'httpsx' }, false],
    [{ forwarded: 'for=192.0.2.1;proto=https' }, true],
    [{ forwarded: 'for=192.0.2.1; PROTO="https", for=10.0.0.1;proto=http' }, true],
    [{ forwarded: 'for=192.0.2.1;proto=http' }, false],
    [{ forwarded: 'for=192.0.2.1;host=proto=https' }, false],
    [{ forwarded: 'for=192.0.2.1', 'x-forwarded-proto': 'https' }, true],
  ];
  for (const [headers, isHttps] of cases)
    test(`${JSON.stringify(headers)} of a trusted proxy is ${isHttps ? 'HTTPS' : 'HTTP'}, of anybody else HTTP`, () => {
      assert.equal(cameByHttps('10.0.0.1', headers, isTrusted), isHttps);
      assert.equal(cameByHttps('192.0.2.1', headers, isTrusted), false);
    });
});

describe('over a real connection', () => {
  let service: HttpService;
  before(async () => {
    const app = express().use(identifyClient(isTrusted), (req, res) => void res.send(req.ip));
    service = await serveHttp(app, { host: '127.0.0.1', port: 0 });
  });
  after(() => service.close());

  test('req.ip is the client, from several header lines too', async () => {
    const ask = async (headers: [string, string][]): Promise<string> => (await fetch(service.url, { headers })).text();
    assert.equal(await ask([]), '127.0.0.1');
    assert.equal(await ask([['x-forwarded-for', '[2001:DB8::1]:4711']]), '2001:db8::1');
    assert.equal(
      await ask([
        ['X-FORWARDED-FOR', '1.1.1.1'],
        ['x-forwarded-for', '192.0.2.1:1'],
      ]),
      '192.0.2.1',
    );
    assert.equal(
      await ask([
        ['forwarded', 'for=1.1.1.1'],
        ['forwarded', 'FOR="192.0.2.1"'],
      ]),
      '192.0.2.1',
    );
  });
});
