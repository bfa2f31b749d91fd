import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { requireNoDowngrade } from './downgrade.ts';
import { movedTo } from './move.ts';
import type { Candidate } from './placement.ts';
import { postOffer, requestOffer } from './signaling.ts';

const SECRET = 'the-token';
const candidate: Candidate = {
  node: 'one',
  region: 'r',
  url: 'https://one.example/whep/live/demo',
  signaling: 'https://one.example',
  stream: 'live/demo',
  token: SECRET,
  iceServers: [],
};
const REFUSAL =
  /leads from https:\/\/ to http:\/\/two\.example, which is refused: token and session would cross the network in clear/;

/** Requests are answered in turn; `url` is where fetch has followed redirects to. */
function answer(t: TestContext, ...answers: { url: string; status?: number; headers?: Record<string, string>; body?: object }[]) {
  const sent: { url: string; text: string }[] = [];
  t.mock.method(globalThis, 'fetch', (url: string, init: RequestInit) => {
    sent.push({ url, text: `${JSON.stringify(init.headers)} ${init.body as string}` });
    const { url: at, status = 201, headers = {}, body = {} } = answers[sent.length - 1]!;
    const response = new Response(JSON.stringify(body), { status, headers });
    Object.defineProperties(response, { url: { value: at }, redirected: { value: at !== url } });
    return Promise.resolve(response);
  });
  return sent;
}
const { signal } = new AbortController();

describe('from HTTPS to plain HTTP', () => {
  test('no redirect is followed, and the token not sent there', async (t) => {
    for (const status of [201, 401]) {
      const sent = answer(t, { url: 'http://two.example/whep/live/demo', status, headers: { location: '/whep/live/demo/1' } });
      await assert.rejects(postOffer(candidate, 'offer', signal), REFUSAL);
      assert.equal(sent.length, 1);
      t.mock.restoreAll();
    }
    const sent = answer(t, { url: 'http://two.example/signaling/pull', status: 200 });
    await assert.rejects(requestOffer(candidate, signal), REFUSAL);
    // fetch takes a body along, and leaves this header behind where the origin changes.
    assert.ok(!sent[0]!.text.split('} ')[1]!.includes(SECRET));
    assert.ok(sent[0]!.text.includes(`"authorization":"Bearer ${SECRET}"`));
  });

  test('no session is followed', async (t) => {
    answer(t, { url: candidate.url, headers: { location: 'http://two.example/whep/live/demo/1' } });
    await assert.rejects(postOffer(candidate, 'offer', signal), REFUSAL);
    t.mock.restoreAll();
    const body = { session: 'one~1', sdp: 'v=0', resource: 'http://two.example/whep/live/demo/1' };
    answer(t, { url: 'https://one.example/signaling/pull', status: 200, body });
    await assert.rejects(requestOffer(candidate, signal), REFUSAL);
  });

  test('no move is made', () => {
    const move = { url: 'http://two.example/whep/live/demo', reason: 'the node drains' };
    assert.throws(() => movedTo(candidate, move), REFUSAL);
    assert.throws(() => movedTo(candidate, { ...move, url: candidate.url, signaling: 'http://two.example' }), REFUSAL);
    assert.throws(() => requireNoDowngrade('wss://one.example', 'ws://two.example', 'the move'), /from wss:\/\/ to ws:\/\//);
  });
});

describe('everywhere else', () => {
  test('a redirect is followed, with the token sent once more where fetch has dropped it', async (t) => {
    const there = 'https://two.example/whep/live/demo';
    const sent = answer(t, { url: there, status: 401 }, { url: there, headers: { location: 'demo/1' } });
    const { resource } = await postOffer(candidate, 'offer', signal);
    assert.equal(resource.url, 'https://two.example/whep/live/demo/1');
    assert.deepEqual(
      sent.map(({ url }) => url),
      [candidate.url, there],
    );
    assert.ok(sent[1]!.text.includes(SECRET));
  });

  test('a move is made: between equals, and to HTTPS', () => {
    const inClear = { ...candidate, url: 'http://one.example/whep/live/demo', signaling: 'http://one.example' };
    for (const [from, url] of [
      [candidate, 'https://two.example/whep/live/demo'],
      [inClear, 'https://two.example/whep/live/demo'],
      [inClear, 'http://two.example/whep/live/demo'],
    ] as const) {
      const { node, token, signaling } = movedTo(from, { url, reason: 'the node drains' });
      assert.deepEqual([node, token, signaling], ['two.example', SECRET, undefined]);
    }
  });
});
