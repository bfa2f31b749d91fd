import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyMediaToken } from '@millrace/api';
import { AppKeys } from './app-keys.ts';
import { SIGNING_KEYS_FIELD, SigningKeys } from './signing-keys.ts';

const NOW = Date.UTC(2030, 0, 1);
const base64 = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64');
const parse = (data: Record<string, string>) =>
  JSON.parse(Buffer.from(data[SIGNING_KEYS_FIELD]!, 'base64').toString()) as { current: string; keys: { kid: string }[] };

async function keysOf(...data: Record<string, string>[]): Promise<SigningKeys> {
  const keys = new SigningKeys();
  for (const one of data) await keys.load(one);
  return keys;
}

test('a token grants what it was issued for, until it expires', async () => {
  const keys = await keysOf(await SigningKeys.create());
  const { token, expiresAtMs } = await keys.mint({ sub: 'anna', act: 'push', stream: 'live/*' }, 60, NOW);
  assert.equal(expiresAtMs, NOW + 60_000);
  const verdict = async (act: 'push' | 'pull', stream: string, nowMs = NOW) => {
    const result = await verifyMediaToken(token, keys.publicKeys, { act, stream, nowMs });
    return result.ok ? 'ok' : result.refusal;
  };
  assert.equal(await verdict('push', 'live/a'), 'ok');
  assert.equal(await verdict('pull', 'live/a'), 'wrong-action');
  assert.equal(await verdict('push', 'vod/a'), 'wrong-stream');
  assert.equal(await verdict('push', 'live/a', NOW + 66_000), 'expired');
});

test('a token that was modified or signed with another key is refused, and so is malformed input', async () => {
  const [keys, others] = [await keysOf(await SigningKeys.create()), await keysOf(await SigningKeys.create())];
  const { token } = await keys.mint({ sub: 'anna', act: 'push', stream: 'live/a' }, 60, NOW);
  const refusal = async (text: string, by = keys) => {
    const result = await verifyMediaToken(text, by.publicKeys, { act: 'push', stream: 'live/a', nowMs: NOW });
    return result.ok ? 'ok' : result.refusal;
  };
  const [head, , signature] = token.split('.');
  const forged = Buffer.from(
    JSON.stringify({
      iss: 'millrace',
      aud: 'millrace-media',
      sub: 'eve',
      act: 'push',
      stream: '*/*',
      iat: 1,
      exp: 9e9,
      jti: 'x',
    }),
  );
  assert.equal(await refusal(`${head}.${forged.toString('base64url')}.${signature}`), 'bad-signature');
  assert.equal(await refusal(token, others), 'unknown-key');
  const none = Buffer.from('{"alg":"none"}').toString('base64url');
  for (const text of ['', 'x', 'a.b.c', `${none}.${forged.toString('base64url')}.`, 'x'.repeat(5000)])
    assert.notEqual(await refusal(text), 'ok');
});

test('while keys rotate, tokens of the old key stay valid, and new ones are signed with the current key', async () => {
  const [first, second] = [await SigningKeys.create(), await SigningKeys.create()];
  const keys = await keysOf(first);
  const { token: old } = await keys.mint({ sub: 'a', act: 'pull', stream: 'live/a' }, 60, NOW);
  const both = { current: parse(second).current, keys: [...parse(first).keys, ...parse(second).keys] };
  await keys.load({ [SIGNING_KEYS_FIELD]: base64(both) });
  const { token } = await keys.mint({ sub: 'a', act: 'pull', stream: 'live/a' }, 60, NOW);
  for (const one of [old, token])
    assert.ok((await verifyMediaToken(one, keys.publicKeys, { act: 'pull', stream: 'live/a', nowMs: NOW })).ok);
  assert.ok((await verifyMediaToken(token, (await keysOf(second)).publicKeys, { act: 'pull', stream: 'live/a', nowMs: NOW })).ok);
  assert.ok(keys.publicKeys.every((key) => !('d' in key)));
});

test('a Secret without valid keys is refused with the field named, and the previous keys stay', async () => {
  const good = await SigningKeys.create();
  const keys = await keysOf(good);
  const before = keys.publicKeys;
  const wrong: [Record<string, string>, RegExp][] = [
    [{}, /no field keys\.json/],
    [{ [SIGNING_KEYS_FIELD]: base64('{') }, /not JSON/],
    [{ [SIGNING_KEYS_FIELD]: base64({ current: 'x', keys: [] }) }, /keys: /],
    [{ [SIGNING_KEYS_FIELD]: base64({ ...parse(good), current: 'x' }) }, /"x", which is none/],
  ];
  for (const [data, message] of wrong) await assert.rejects(keys.load(data), message);
  assert.equal(keys.publicKeys, before);
});

test('an app is identified by its key, short keys are not accepted, and without a Secret no key is', () => {
  const keys = new AppKeys();
  assert.deepEqual(keys.load({ shop: base64('k'.repeat(16)), school: base64('s'.repeat(20)), weak: base64('short') }), ['weak']);
  assert.equal(keys.appOf('k'.repeat(16)), 'shop');
  assert.equal(keys.appOf('s'.repeat(20)), 'school');
  for (const key of ['', 'short', 'k'.repeat(17)]) assert.equal(keys.appOf(key), undefined);
  keys.load(undefined);
  assert.equal(keys.appOf('k'.repeat(16)), undefined);
});
