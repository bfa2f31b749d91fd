import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestNode } from './node.fixture.ts';

test('a body that is costly to refuse is refused by its token, or by its size in values, first', async (t) => {
  const node = await startTestNode();
  t.after(() => node.close());
  const post = async (path: string, body: object, token?: string): Promise<{ status: number; text: string }> => {
    const headers = { 'content-type': 'application/json', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    const response = await fetch(`${node.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: response.status, text: await response.text() };
  };
  const tracks = (values: number): object => ({
    stream: 'live/costly',
    tracks: [{ kind: 'video', parameters: Object.fromEntries(Array.from({ length: values }, (_, n) => [`p${n}`, []])) }],
  });
  for (const act of ['push', 'pull'] as const) {
    const token = await node.token(act, 'live/*');
    const anonymous = await post(`/rtp/${act}`, tracks(1500));
    assert.equal(anonymous.status, 401, anonymous.text);
    const listed = await post(`/rtp/${act}`, tracks(1500), token);
    assert.equal(listed.status, 400);
    assert.ok(listed.text.length < 8000, `an answer of ${listed.text.length} bytes`);
    const tooMany = await post(`/rtp/${act}`, tracks(2500), token);
    assert.equal(tooMany.status, 400);
    assert.match(tooMany.text, /more than 2000 values/);
  }
});

test('an offer without a token is neither read nor given a transport where the policy wants one', async (t) => {
  const node = await startTestNode({ policy: { access: { publish: 'Token', play: 'Token' } } });
  t.after(() => node.close());
  const asked = t.mock.method(node.directory, 'publish');
  const costly = Array.from({ length: 1000 }, (_, n) => `a=extmap:${(n % 255) + 1} urn:x:${n}\r\n`).join('');
  for (const [path, type, body] of [
    ['/whip/live/costly', 'application/sdp', `v=0\r\n${costly}`],
    ['/signaling/push', 'application/json', JSON.stringify({ stream: 'live/costly', sdp: `v=0\r\n${costly}` })],
    ['/whep/live/costly', 'application/sdp', `v=0\r\n${costly}`],
  ] as const) {
    const response = await fetch(`${node.url}${path}`, { method: 'POST', headers: { 'content-type': type }, body });
    const text = await response.text();
    assert.equal(response.status, 401, text);
    assert.ok(!/sdp|line|extmap/i.test(text.replaceAll('access_token', '')), text);
  }
  assert.equal(asked.mock.callCount(), 0);
});
