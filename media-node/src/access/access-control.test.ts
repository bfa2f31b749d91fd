import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { before, describe, test } from 'node:test';
import { DEFAULT_POLICY, type PublicJwk } from '@millrace/api';
import { Problem } from '@millrace/service';
import { FakeClock } from '@millrace/testkit';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { AccessControl, bearerOf } from './index.ts';

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
    try {
      const caller = await new AccessControl(() => [jwk], clock).identify(await token(claims), 'push', stream);
      return caller.kind === 'token' ? caller.user : caller.kind;
    } catch (error) {
      assert.ok(error instanceof Problem);
      return error.status;
    }
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
    await assert.rejects(
      access.identify(await token({}), 'push', 'live/demo'),
      (error: unknown) => error instanceof Problem && error.status === 503,
    );
  });

  test('nobody needs a token where the policy is Public, and everybody where it is not', async () => {
    const access = new AccessControl(() => [jwk], clock);
    const nobody = await access.identify(undefined, 'push', 'live/demo');
    access.requirePermission(nobody, 'push', OPEN);
    assert.throws(
      () => access.requirePermission(nobody, 'push', DEFAULT_POLICY),
      (error: unknown) => error instanceof Problem && error.status === 401 && 'www-authenticate' in error.headers,
    );
    access.requirePermission({ kind: 'token', user: 'anna' }, 'pull', DEFAULT_POLICY);
  });

  test('the header goes before the query, and another scheme than Bearer is refused', () => {
    const request = (url: string, authorization?: string): IncomingMessage =>
      ({ url, headers: { authorization } }) as IncomingMessage;
    assert.equal(bearerOf(request('/x?access_token=q', 'Bearer h')), 'h');
    assert.equal(bearerOf(request('/x?access_token=q')), 'q');
    assert.equal(bearerOf(request('/x?access_token=')), undefined);
    assert.throws(() => bearerOf(request('/x', 'Basic eA==')), Problem);
  });
});
