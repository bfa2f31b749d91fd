import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { offerText } from '@millrace/testkit/sdp';
import { sessionUrl, startTestNode, type TestNode } from './node.fixture.ts';

const OBS = offerText('obs-whip');
const FRAGMENT =
  'a=ice-ufrag:Qh2p\r\na=ice-pwd:p5uYVdqGzF3mK8wNcRtLbX\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n';

describe('WHIP', { timeout: 60_000 }, () => {
  let node: TestNode;
  before(async () => {
    node = await startTestNode({ policy: { access: { publish: 'Token', play: 'Token' } } });
  });
  after(() => node.close());

  async function post(
    path: string,
    options: { body?: string; type?: string; token?: string; accept?: string } = {},
  ): Promise<Response> {
    const { body = OBS, type = 'application/sdp', token, accept } = options;
    const headers = {
      'content-type': type,
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(accept ? { accept } : {}),
    };
    return fetch(node.url + path, { method: 'POST', headers, body, redirect: 'manual' });
  }

  test('201 carries Location, ETag, Link, Accept-Patch and an SDP answer, readable by any page', async () => {
    const response = await post('/whip/live/created', { token: await node.token('push', 'live/*') });
    assert.equal(response.status, 201);
    assert.match(response.headers.get('location')!, /^\.\.\/sessions\/[\w-]{22}$/);
    assert.match(response.headers.get('etag')!, /^"[^"]+"$/);
    assert.match(response.headers.get('link')!, /<stun:stun\.example\.org:3478>; rel="ice-server"/);
    assert.equal(response.headers.get('accept-patch'), 'application/trickle-ice-sdpfrag');
    assert.match(response.headers.get('content-type')!, /^application\/sdp/);
    assert.equal(response.headers.get('access-control-allow-origin'), '*');
    assert.match(response.headers.get('access-control-expose-headers')!, /Location.*ETag.*Link/);
    assert.match(await response.text(), /a=recvonly/);
  });

  test('refusals say what is wrong', async () => {
    const token = await node.token('push', 'live/*');
    const table: [Promise<Response>, number, RegExp][] = [
      [post('/whip/live/anonymous'), 401, /a token for push is needed/],
      [post('/whip/live/x', { token: 'rubbish' }), 401, /not a JWT/],
      [post('/whip/live/x', { token: await node.token('pull', 'live/*') }), 403, /for pull, not for push/],
      [post('/whip/other/x', { token }), 403, /for live\/\*, not for other\/x/],
      [post('/whip/live/x', { token, type: 'text/plain' }), 415, /application\/sdp/],
      [post('/whip/live/x', { token, accept: 'text/html' }), 406, /the answer is application\/sdp/],
      [post('/whip/live/x', { token, body: 'hello' }), 400, /begins with \\"v=0\\"/],
      [post('/whip/live/x', { token, body: OBS.replaceAll('a=sendonly', 'a=recvonly') }), 400, /use a=sendonly/],
      [post('/whip/live/x', { token, body: OBS.replace('H264', 'MPEG2') }), 406, /no codec that is supported/],
      [post('/whip/live/x', { token, body: `v=0\r\n${'a=x\r\n'.repeat(20_000)}` }), 413, /large/],
      [
        post('/whip/live/x', { token, body: OBS.replaceAll('1384275105', '1384275104') }),
        400,
        /the media worker refuses them: .*ssrc/i,
      ],
      [post('/whip/live/sp%20ace', { token }), 400, /must be app\/name/],
      [post('/whip/toofew', { token }), 404, /no POST \/whip\/toofew here/],
      [post('/whep/live/nobody', { token: await node.token('pull', 'live/*') }), 404, /nobody publishes/],
    ];
    for (const [answer, status, says] of table) {
      const response = await answer;
      const text = await response.text();
      assert.equal(response.status, status, text);
      assert.match(response.headers.get('content-type')!, /application\/problem\+json/);
      assert.match(text, says);
    }
  });

  test('the second publisher of a name is refused with 409', async () => {
    const token = await node.token('push', 'live/twice');
    assert.equal((await post('/whip/live/twice', { token })).status, 201);
    assert.equal((await post('/whip/live/twice', { token })).status, 409);
  });

  test('trickle and restart follow If-Match', async () => {
    const created = await post('/whip/live/patch', { token: await node.token('push', 'live/*') });
    const url = sessionUrl(created);
    const etag = created.headers.get('etag')!;
    const patch = (body: string, headers: Record<string, string>): Promise<Response> =>
      fetch(url, { method: 'PATCH', headers: { 'content-type': 'application/trickle-ice-sdpfrag', ...headers }, body });
    const other = FRAGMENT.replace('Qh2p', 'Zz9q');
    assert.equal((await patch(other, {})).status, 428);
    assert.equal((await patch(FRAGMENT, {})).status, 204, 'its user name tells the generation');
    assert.equal((await patch(FRAGMENT, { 'if-match': '"other"' })).status, 412);
    const trickled = await patch(FRAGMENT, { 'if-match': etag });
    assert.deepEqual([trickled.status, trickled.headers.get('etag')], [204, null], 'the generation is as it was');
    assert.equal((await patch('m=audio', { 'if-match': etag })).status, 400);
    assert.equal((await patch(FRAGMENT, { 'if-match': etag, 'content-type': 'application/sdp' })).status, 415);
    assert.equal((await patch(other, { 'if-match': etag })).status, 412);
    const restarted = await patch(other, { 'if-match': '"*"' });
    assert.equal(restarted.status, 200);
    assert.match(await restarted.text(), /a=ice-ufrag:/);
    assert.equal((await patch(other, { 'if-match': etag })).status, 412);
    assert.equal((await patch(other, { 'if-match': restarted.headers.get('etag')! })).status, 204);
  });

  test('OPTIONS, other methods and unknown sessions', async () => {
    const options = await fetch(`${node.url}/whip/live/x`, { method: 'OPTIONS' });
    assert.equal(options.status, 200);
    assert.equal(options.headers.get('accept-post'), 'application/sdp');
    assert.match(options.headers.get('access-control-allow-methods')!, /PATCH, DELETE/);
    assert.match(options.headers.get('access-control-allow-headers')!, /Authorization.*If-Match/);
    for (const method of ['GET', 'PUT', 'DELETE'])
      assert.equal((await fetch(`${node.url}/whip/live/x`, { method })).status, 405, method);
    assert.equal((await fetch(`${node.url}/whip/sessions/unknown`, { method: 'GET' })).status, 404);
    assert.equal((await fetch(`${node.url}/whip/sessions/unknown`, { method: 'PUT' })).status, 405);
    assert.equal((await fetch(`${node.url}/whip/sessions/unknown`, { method: 'DELETE' })).status, 404);
  });

  test('a token in the query works as one in the header', async () => {
    const token = await node.token('push', 'live/*');
    assert.equal((await post(`/whip/live/query?access_token=${token}`)).status, 201);
  });
});

describe('a node that takes no more', { timeout: 60_000 }, () => {
  test('redirects to another one, with query and token', async () => {
    const node = await startTestNode({ sessions: 0, alternatives: ['http://other.example:8080'] });
    const token = await node.token('push', 'live/*');
    const response = await fetch(`${node.url}/whip/live/demo?group=g`, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp', authorization: `Bearer ${token}` },
      body: OBS,
      redirect: 'manual',
    });
    assert.equal(response.status, 307);
    const location = new URL(response.headers.get('location')!);
    assert.equal(location.origin + location.pathname, 'http://other.example:8080/whip/live/demo');
    assert.equal(location.searchParams.get('group'), 'g');
    assert.equal(location.searchParams.get('access_token'), token);
    await node.close();
  });

  test('never redirects a request that came by HTTPS to plain HTTP', async () => {
    const plain = 'http://plain.example:8080';
    const ask = async (alternatives: string[]): Promise<Response> => {
      const node = await startTestNode({ sessions: 0, alternatives, trustedProxies: ['127.0.0.0/8'] });
      const token = await node.token('push', 'live/*');
      const headers = { 'content-type': 'application/sdp', authorization: `Bearer ${token}`, 'x-forwarded-proto': 'https' };
      const response = await fetch(`${node.url}/whip/live/demo`, { method: 'POST', headers, body: OBS, redirect: 'manual' });
      await node.close();
      return response;
    };
    const led = await ask([plain, 'https://tls.example:8443']);
    assert.equal(led.status, 307);
    assert.equal(new URL(led.headers.get('location')!).origin, 'https://tls.example:8443');
    const refused = await ask([plain]);
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get('location'), null);
    assert.match(await refused.text(), /no other node serves HTTPS/);
  });

  test('says when to try again where there is no other', async () => {
    const node = await startTestNode({ roles: ['pull'] });
    const response = await fetch(`${node.url}/whip/live/demo`, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp' },
      body: OBS,
    });
    assert.equal(response.status, 503);
    assert.equal(response.headers.get('retry-after'), '5');
    assert.match(await response.text(), /does not have the push role/);
    await node.close();
  });
});
