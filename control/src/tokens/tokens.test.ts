import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_GRANT_LIFE_MS, verifyMediaToken } from '@millrace/api';
import { seededRandom } from '@millrace/service';
import { EPOCH_MEMORY_S } from '../directory/directory.ts';
import { AppKeys, coversStream } from './app-keys.ts';
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

test('a grant counts for three to six days, and a new one is due before it ends', async () => {
  const keys = await keysOf(await SigningKeys.create());
  const at = { host: '192.0.2.1', port: 1 };
  const name = { stream: 'live/a', epoch: 1, node: 'one', session: 's' };
  const day = 24 * 3_600_000;
  for (let startMs = NOW; startMs < NOW + 7 * day; startMs += day / 3) {
    const grant = keys.grant({ ...name, at }, startMs);
    assert.equal(keys.grant({ ...name, at }, startMs + 1), grant, 'every replica makes the same one');
    assert.equal(keys.isCurrent(grant, at, startMs), true);
    assert.equal(keys.isCurrent(grant, at, startMs + 3 * day), false);
    assert.equal(keys.verifyGrant(grant, name, startMs + 3 * day - 1), 'good');
    assert.equal(keys.verifyGrant(grant, name, startMs + 6 * day), 'ended');
    assert.equal(keys.verifyGrant(grant, { ...name, epoch: 2 }, startMs), 'wrong');
    // A replica whose clock is behind does not take a longer grant for an old one.
    assert.equal(keys.isCurrent(grant, at, startMs - day), true);
  }
});

test('a name that was given back is remembered for longer than its grant counts', () => {
  assert.ok(MAX_GRANT_LIFE_MS + 3_600_000 < EPOCH_MEMORY_S * 1000);
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
  assert.deepEqual(
    keys.load({ shop: base64('k'.repeat(16)), school: base64('s'.repeat(20)), weak: base64('short') }).map(({ name }) => name),
    ['weak'],
  );
  assert.equal(keys.holderOf('k'.repeat(16))?.name, 'shop');
  assert.equal(keys.holderOf('s'.repeat(20))?.name, 'school');
  for (const key of ['', 'short', 'k'.repeat(17)]) assert.equal(keys.holderOf(key), undefined);
  keys.load(undefined);
  assert.equal(keys.holderOf('k'.repeat(16)), undefined);
});

test('an app key with a list is for those apps alone, one without for all', () => {
  const keys = new AppKeys();
  const [one, all] = ['k'.repeat(16), 'a'.repeat(16)];
  assert.deepEqual(keys.load({ shop: base64(`${one} apps=live,shop-*\n`), all: base64(all) }), []);
  const covered = (key: string, stream: string): boolean => coversStream(keys.holderOf(key)!, stream);
  for (const stream of ['live/a', 'shop-/a', 'shop-berlin/a']) assert.ok(covered(one, stream), stream);
  for (const stream of ['liv/a', 'live2/a', 'LIVE/a', 'shop/live', 'other/shop-1']) assert.ok(!covered(one, stream), stream);
  assert.ok(covered(all, 'anything/at-all'));
  assert.equal(keys.holderOf(`${one} apps=live,shop-*`), undefined);
});

test('a field of app keys that is wrong grants nothing, and says why', () => {
  const keys = new AppKeys();
  const key = 'k'.repeat(16);
  for (const [field, why] of [
    ['short', /shorter than 16/],
    ['short apps=live', /shorter than 16/],
    [`${key} live`, /something else than apps=/],
    [`${key} apps=live more`, /something else than apps=/],
    [`${key} apps=live, shop`, /something else than apps=/],
    [`${key} apps=`, /"" in apps=/],
    [`${key} apps=live,`, /"" in apps=/],
    [`${key} apps=*`, /"\*" in apps=/],
    [`${key} apps=live/*`, /"live\/\*" in apps=/],
    [`${key} apps=a*b`, /"a\*b" in apps=/],
    [`${key} apps=${Array.from({ length: 65 }, (_, i) => `app${i}`).join(',')}`, /more than 64 apps/],
  ] as const) {
    const refused = keys.load({ shop: base64(field) });
    assert.equal(refused[0]?.name, 'shop', field);
    assert.match(refused[0].why, why);
    assert.equal(keys.holderOf(key), undefined, field);
    assert.equal(keys.size, 0);
  }
});

test('whatever an app key lists, it covers exactly what it lists', () => {
  const random = seededRandom(3);
  const letters = 'abAB-._0';
  const word = (): string =>
    Array.from({ length: 1 + Math.floor(random() * 4) }, () => letters[Math.floor(random() * letters.length)]).join('');
  for (let round = 0; round < 500; round++) {
    const apps = Array.from({ length: 1 + Math.floor(random() * 4) }, () => word() + (random() < 0.5 ? '*' : ''));
    const keys = new AppKeys();
    assert.deepEqual(keys.load({ one: base64(`${'k'.repeat(20)}  apps=${apps.join(',')}`) }), []);
    const app = random() < 0.5 ? word() : apps[0]!.replace('*', '') + (random() < 0.5 ? word() : '');
    const expected = apps.some((known) => known === app || (known.endsWith('*') && `${app}`.startsWith(known.slice(0, -1))));
    assert.equal(coversStream(keys.holderOf('k'.repeat(20))!, `${app}/x`), expected, `${app} of ${apps.join()}`);
  }
});
