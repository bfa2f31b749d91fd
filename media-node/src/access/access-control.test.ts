import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { before, describe, test } from 'node:test';
import { DEFAULT_POLICY, type PublicJwk } from '@millrace/api';
import { Problem } from '@millrace/service';
import { FakeClock } from '@millrace/testkit';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { AccessControl, refusalOf, tokensOf } from './index.ts';

const OPEN = { ...DEFAULT_POLICY, access: { publish: 'Public' as const, play: 'Public' as const } };

describe('access', () => {
  const clock = new FakeClock();
  let key: CryptoKey;
  let jwk: PublicJwk;
  before(async () => {
    const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
    key = pair.privateKey;
    jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1' } as PublicJwk;
  });

  function token(claims: { act?: string; stream?: string; expiresInS?: number }): Promise<string> {
    const now = Math.floor(clock.wall() / 1000);
    return new SignJWT({ act: claims.act ?? 'push', stream: claims.stream ?? 'live/*' })
      .setProtectedHeader({ alg: 'EdDSA', kid: 'k1' })
      .setIssuer('millrace')
      .setAudience('millrace-media')
      .setSubject('anna')
      .setJti('1')
      .setIssuedAt(now)
      .setExpirationTime(now + (claims.expiresInS ?? 60))
      .sign(key);
  }

  async function statusOf(claims: Parameters<typeof token>[0], stream = 'live/demo'): Promise<number | string> {
    const shown = { tokens: [await token(claims)] };
    const caller = await new AccessControl(() => [jwk], clock).identify(shown, 'push', stream);
    return caller.kind === 'token' ? caller.user : refusalOf(caller, 'push').status;
  }

  test('a token allows its action on the streams of its pattern until it expires', async () => {
    assert.equal(await statusOf({}), 'anna');
    assert.equal(await statusOf({ act: 'pull' }), 403);
    assert.equal(await statusOf({}, 'other/demo'), 403);
    assert.equal(await statusOf({ stream: 'live/demo2' }), 403);
    assert.equal(await statusOf({ expiresInS: -60 }), 401);
  });

  test('without any key of control yet, tokens cannot be judged: 503, not 401', async () => {
    const access = new AccessControl(() => [], clock);
    const caller = await access.identify({ tokens: [await token({})] }, 'push', 'live/demo');
    assert.equal(refusalOf(caller, 'push').status, 503);
    access.requirePermission(caller, 'push', OPEN);
  });

  test('nobody needs a token where the policy is Public, and everybody where it is not', async () => {
    const access = new AccessControl(() => [jwk], clock);
    const nobody = await access.identify({ tokens: [] }, 'push', 'live/demo');
    access.requirePermission(nobody, 'push', OPEN);
    assert.throws(
      () => access.requirePermission(nobody, 'push', DEFAULT_POLICY),
      (error: unknown) => error instanceof Problem && error.status === 401 && 'www-authenticate' in error.headers,
    );
    access.requirePermission({ kind: 'token', user: 'anna', token: 't' }, 'pull', DEFAULT_POLICY);
  });

  test('one valid token is enough, whatever is sent beside it', async () => {
    const access = new AccessControl(() => [jwk], clock);
    const good = await token({});
    for (const tokens of [
      [good, 'rubbish'],
      ['rubbish', good],
      [await token({ act: 'pull' }), good],
      [await token({ expiresInS: -60 }), good],
    ]) {
      const caller = await access.identify({ tokens }, 'push', 'live/demo');
      assert.equal(caller.kind === 'token' ? caller.token : caller.refusal, good);
    }
  });

  test('tokens that do not count shut nobody out of a public stream, and say why elsewhere', async () => {
    const access = new AccessControl(() => [jwk], clock);
    for (const [tokens, status] of [
      [['rubbish'], 401],
      [[await token({ act: 'pull' })], 403],
      [[await token({ expiresInS: -60 })], 401],
    ] as const) {
      const caller = await access.identify({ tokens }, 'push', 'live/demo');
      access.requirePermission(caller, 'push', OPEN);
      assert.throws(
        () => access.requirePermission(caller, 'push', DEFAULT_POLICY),
        (error: unknown) => error instanceof Problem && error.status === status,
      );
    }
  });

  test('tokens are found in body, header and query, the scheme in any case; another scheme is a fault', () => {
    const shown = (url: string, authorization?: string, inBody?: string) =>
      tokensOf({ url, headers: { authorization } } as IncomingMessage, inBody);
    assert.deepEqual(shown('/x?access_token=q', 'Bearer h', 'b'), { tokens: ['b', 'h', 'q'] });
    for (const scheme of ['bearer', 'BEARER', 'Bearer  ']) assert.deepEqual(shown('/x', `${scheme} h`), { tokens: ['h'] });
    assert.deepEqual(shown('/x?access_token='), { tokens: [] });
    assert.equal(shown('/x?access_token=q&access_token=q&access_token=q&access_token=q&access_token=q').tokens.length, 4);
    for (const other of ['Basic eA==', 'undefined', '', 'Bearer', 'Bearer a b']) {
      const { tokens, fault } = shown('/x?access_token=q', other);
      assert.deepEqual([tokens, fault?.status], [['q'], 401], other);
    }
  });
});
