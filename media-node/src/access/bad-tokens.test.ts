import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { before, describe, test } from 'node:test';
import type { PublicJwk } from '@millrace/api';
import type { Problem } from '@millrace/service';
import { createLogger } from '@millrace/service';
import { FakeClock } from '@millrace/testkit';
import fc from 'fast-check';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { offerText } from '@millrace/testkit/sdp';
import { startTestNode } from '../signaling/node.fixture.ts';
import { AccessControl } from './index.ts';

const clock = new FakeClock();
const NOW = Math.floor(clock.wall() / 1000);
const GOOD = {
  iss: 'millrace',
  aud: 'millrace-media',
  sub: 'anna',
  act: 'push',
  stream: 'live/*',
  iat: NOW,
  exp: NOW + 60,
  jti: '1',
};

describe('a token that is no good', () => {
  let key: CryptoKey;
  let jwk: PublicJwk;
  let foreign: CryptoKey;
  let foreignJwk: object;
  before(async () => {
    const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
    key = pair.privateKey;
    jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1' } as PublicJwk;
    const other = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
    foreign = other.privateKey;
    foreignJwk = await exportJWK(other.publicKey);
  });

  const sign = (claims: object, signer = key, kid = 'k1'): Promise<string> =>
    new SignJWT(claims as Record<string, unknown>).setProtectedHeader({ alg: 'EdDSA', kid }).sign(signer);
  const without = (claim: keyof typeof GOOD): Promise<string> => {
    const { [claim]: _, ...claims } = GOOD;
    return sign(claims);
  };
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

  async function refusalOf(token: string): Promise<Problem> {
    const caller = await new AccessControl(() => [jwk], clock).identify({ tokens: [token] }, 'push', 'live/demo');
    return (caller.kind === 'anonymous' && caller.refusal) || assert.fail('the token was taken');
  }

  const table: [string, () => Promise<string> | string, 401 | 403, RegExp][] = [
    ['signed by another key under the same id', () => sign(GOOD, foreign), 401, /signature does not fit/],
    ['signed by a key that is not known', () => sign(GOOD, foreign, 'k2'), 401, /no known key/],
    [
      'without a signature (alg none)',
      () => `${part({ alg: 'none', kid: 'k1' })}.${part(GOOD)}.`,
      401,
      /must be signed with EdDSA/,
    ],
    [
      'signed with the public key as an HMAC secret',
      () => {
        const text = `${part({ alg: 'HS256', kid: 'k1' })}.${part(GOOD)}`;
        return `${text}.${createHmac('sha256', Buffer.from(jwk.x, 'base64url')).update(text).digest('base64url')}`;
      },
      401,
      /must be signed with EdDSA/,
    ],
    [
      'with another payload than was signed',
      async () => (await sign(GOOD)).replace(/\..*\./, `.${part({ ...GOOD, stream: '*/*' })}.`),
      401,
      /signature/,
    ],
    [
      'with a key of its own in its header',
      async () =>
        `${part({ alg: 'EdDSA', kid: 'k1', jwk: foreignJwk })}.${(await sign(GOOD, foreign)).split('.').slice(1).join('.')}`,
      401,
      /./,
    ],
    ['expired', () => sign({ ...GOOD, exp: NOW - 60 }), 401, /has expired/],
    ['not yet valid', () => sign({ ...GOOD, nbf: NOW + 600 }), 401, /nbf: the token is not valid yet/],
    ['of another issuer', () => sign({ ...GOOD, iss: 'somebody' }), 401, /iss: it must be millrace/],
    ['for another audience', () => sign({ ...GOOD, aud: 'millrace-control' }), 401, /aud: it must be millrace-media/],
    ['for another stream', () => sign({ ...GOOD, stream: 'live/other' }), 403, /for live\/other, not for live\/demo/],
    ['for pulling', () => sign({ ...GOOD, act: 'pull' }), 403, /for pull, not for push/],
    ['for everything', () => sign({ ...GOOD, act: '*' }), 401, /missing or wrong: act/],
    ['without exp', () => without('exp'), 401, /exp is missing/],
    ['without sub', () => without('sub'), 401, /sub is missing/],
    ['without jti', () => without('jti'), 401, /missing or wrong: jti/],
    ['without act', () => without('act'), 401, /missing or wrong: act/],
    ['without stream', () => without('stream'), 401, /missing or wrong: stream/],
    ['whose times are text', () => sign({ ...GOOD, exp: 'never' }), 401, /exp: of the wrong type/],
    ['of a megabyte', () => 'x'.repeat(1_000_000), 401, /longer than 4096/],
    ['that is no JWT', () => 'hello', 401, /not a JWT/],
    ['of an app, not of a client', () => 'app-key-of-the-tests', 401, /not a JWT/],
  ];
  for (const [what, make, status, says] of table) {
    test(`${what}: ${status}, with the challenge of RFC 6750 and why`, async () => {
      const token = await make();
      const problem = await refusalOf(token);
      assert.equal(problem.status, status, problem.message);
      assert.match(problem.detail!, says);
      const challenge = problem.headers['www-authenticate']!;
      assert.match(challenge, status === 401 ? /^Bearer .*error="invalid_token"/ : /^Bearer .*error="insufficient_scope"/);
      const signature = token.split('.')[2];
      if (signature)
        assert.ok(!JSON.stringify([problem, problem.headers]).includes(signature), 'nothing of the token comes back');
    });
  }

  test('any text is refused, never otherwise', async () => {
    const good = await sign(GOOD);
    const text = fc.oneof(
      fc.string(),
      fc.nat(good.length - 1).map((at) => good.slice(0, at)),
      fc
        .tuple(fc.nat(good.length - 1), fc.base64String({ minLength: 4 }))
        .map(([at, piece]) => good.slice(0, at) + piece + good.slice(at + 1)),
      fc.tuple(fc.jsonValue(), fc.jsonValue()).map(([a, b]) => `${part([a])}.${part([b])}.x`),
    );
    await fc.assert(
      fc.asyncProperty(text, async (token) => {
        assert.equal((await refusalOf(token)).status, 401);
      }),
      { numRuns: 500 },
    );
  });
});

test(
  'no token is ever logged: of the header, the query or the body, whatever becomes of the request',
  { timeout: 60_000 },
  async (t) => {
    const lines: string[] = [];
    const logger = createLogger({ service: 'node', level: 'trace' }, { write: (line) => void lines.push(line) });
    const node = await startTestNode({
      logger,
      policy: { access: { publish: 'Token', play: 'Token' } },
      sessions: 1,
      alternatives: ['http://other.example'],
    });
    t.after(() => node.close());
    const tokens = [await node.token('push', 'live/*'), await node.token('pull', 'live/*'), 'opaque-secret-of-somebody-1234'];
    const offer = offerText('obs-whip');
    for (const token of tokens) {
      for (const path of [
        '/whip/live/a',
        '/whep/live/a',
        '/whip/live/a',
        '/nowhere',
        '/whip/sessions/x',
        '/whip/live/%E0%A4%A',
      ]) {
        const sdp = { 'content-type': 'application/sdp' };
        const init: RequestInit = { method: 'POST', body: offer, redirect: 'manual' };
        await fetch(`${node.url}${path}?access_token=${token}`, { ...init, headers: sdp });
        await fetch(`${node.url}${path}`, { ...init, headers: { ...sdp, authorization: `Bearer ${token}` } });
      }
      for (const path of ['/signaling/push', '/signaling/pull', '/rtp/push']) {
        const json: RequestInit = { method: 'POST', headers: { 'content-type': 'application/json' }, redirect: 'manual' };
        await fetch(node.url + path, { ...json, body: JSON.stringify({ stream: 'live/a', token, sdp: offer }) });
        await fetch(node.url + path, { ...json, body: `{"stream":"live/a","token":"${token}"` });
      }
    }
    assert.ok(lines.length > 20, 'requests are logged at this level');
    const text = lines.join('\n');
    for (const token of tokens) {
      const telling = token.split('.').at(-1)!;
      assert.ok(
        !text.includes(telling),
        lines.find((line) => line.includes(telling)),
      );
    }
  },
);
