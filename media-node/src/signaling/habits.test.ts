import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { offerText } from '@millrace/testkit/sdp';
import { sessionUrl, startTestNode, type TestNode } from './node.fixture.ts';

const OBS = offerText('obs-whip');
const SDP = { 'content-type': 'application/sdp' };
const JSON_TYPE = { 'content-type': 'application/json' };
const TURN = {
  urls: ['turn:turn.example.org:3478?transport=udp', 'turns:turn.example.org'],
  username: 'a "b"',
  credential: 's3cret',
};

/** One answer as it stands on the wire: fetch joins header lines of one name. */
function ask(
  url: string,
  method: string,
  headers: http.OutgoingHttpHeaders = {},
  body = '',
): Promise<{ status: number; lines: [string, string][]; text: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent: false }, (response) => {
      const lines: [string, string][] = [];
      for (let i = 0; i < response.rawHeaders.length; i += 2)
        lines.push([response.rawHeaders[i]!.toLowerCase(), response.rawHeaders[i + 1]!]);
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve({ status: response.statusCode!, lines, text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

describe('habits of clients and proxies, on public streams', { timeout: 60_000 }, () => {
  let node: TestNode;
  let names = 0;
  before(async () => {
    node = await startTestNode({ iceServers: [{ urls: ['stun:stun.example.org:3478'] }, TURN] });
  });
  after(() => node.close());

  const fresh = (): string => `live/habit${names++}`;
  const publish = (headers: Record<string, string> = {}, url = `${node.url}/whip/${fresh()}`, body = OBS): Promise<Response> =>
    fetch(url, { method: 'POST', headers: { ...SDP, ...headers }, body, redirect: 'manual' });
  async function published(headers: Record<string, string> = {}, url?: string): Promise<string> {
    const response = await publish(headers, url);
    assert.equal(response.status, 201, await response.clone().text());
    return sessionUrl(response);
  }

  test('each link has a line of its own', async () => {
    const { status, lines } = await ask(`${node.url}/whip/${fresh()}`, 'POST', SDP, OBS);
    assert.equal(status, 201);
    const links = lines.filter(([name]) => name === 'link').map(([, value]) => value);
    const login = 'username="a \\"b\\""; credential="s3cret"; credential-type="password"';
    assert.deepEqual(links.slice(0, 3), [
      '<stun:stun.example.org:3478>; rel="ice-server"',
      `<turn:turn.example.org:3478?transport=udp>; rel="ice-server"; ${login}`,
      `<turns:turn.example.org>; rel="ice-server"; ${login}`,
    ]);
    assert.match(links[3]!, /^<\.\.\/sessions\/[\w-]{22}\/events>; rel="urn:millrace:events"$/);
  });

  test('OPTIONS names the ICE servers and what the path takes; credentials only for a token', async () => {
    const path = `/whip/${fresh()}`;
    const token = await node.token('push', path.slice('/whip/'.length));
    const nobody = await ask(node.url + path, 'OPTIONS');
    const header = (lines: [string, string][], name: string): string[] =>
      lines.filter((each) => each[0] === name).map((each) => each[1]);
    assert.deepEqual(header(nobody.lines, 'link'), ['<stun:stun.example.org:3478>; rel="ice-server"']);
    assert.deepEqual(header(nobody.lines, 'accept-post'), ['application/sdp']);
    assert.deepEqual(header(nobody.lines, 'allow'), ['POST, OPTIONS']);
    assert.equal(header((await ask(node.url + path, 'OPTIONS', { authorization: `bearer ${token}` })).lines, 'link').length, 3);
    assert.equal(header((await ask(`${node.url}${path}?access_token=${token}`, 'OPTIONS')).lines, 'link').length, 3);
    assert.equal(header((await ask(node.url + path, 'OPTIONS', { authorization: 'undefined' })).lines, 'link').length, 1);
    const session = await ask(await published(), 'OPTIONS');
    assert.deepEqual(header(session.lines, 'accept-patch'), ['application/trickle-ice-sdpfrag']);
    assert.deepEqual(header(session.lines, 'allow'), ['GET, PATCH, DELETE, HEAD, OPTIONS']);
  });

  test('a preflight grants what it asks for, and scripts may read what they need', async () => {
    const asked = 'authorization,content-type,x-session-trace';
    const preflight = await fetch(`${node.url}/whep/live/x`, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://app.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': asked,
      },
    });
    assert.ok(preflight.ok);
    assert.equal(preflight.headers.get('access-control-allow-origin'), '*');
    assert.equal(preflight.headers.get('access-control-allow-headers'), asked);
    assert.match(preflight.headers.get('vary')!, /Access-Control-Request-Headers/);
    const refused = await fetch(`${node.url}/whep/live/nobody`, { method: 'POST', headers: SDP, body: OBS });
    for (const name of ['Location', 'Link', 'ETag', 'Retry-After'])
      assert.ok(refused.headers.get('access-control-expose-headers')!.includes(name), name);
    for (const odd of ['a b', 'x,,y\u00e9', '('])
      assert.doesNotMatch(
        (
          await ask(`${node.url}/whep/live/x`, 'OPTIONS', {
            'access-control-request-headers': Buffer.from(odd).toString('latin1'),
          })
        ).lines
          .filter(([name]) => name === 'access-control-allow-headers')
          .join(),
        /a b|\(|x,,y/,
      );
  });

  test('credentials that do not count shut nobody out of a public stream, and a good token is enough beside them', async (t) => {
    const bad = [
      'undefined',
      'Bearer',
      'Bearer junk',
      'Basic eDp5',
      'bearer a.b.c',
      `Bearer ${await node.token('pull', 'live/x')}`,
    ];
    for (const authorization of bad) await published({ authorization });
    await published({}, `${node.url}/whip/${fresh()}?access_token=junk`);
    const guarded = await startTestNode({ policy: { access: { publish: 'Token', play: 'Token' } } });
    t.after(() => guarded.close());
    const good = await guarded.token('push', 'live/*');
    for (const [i, authorization] of bad.entries())
      await published({ authorization }, `${guarded.url}/whip/live/g${i}?access_token=${good}`);
    for (const scheme of ['bearer', 'BEARER'])
      await published({ authorization: `${scheme} ${good}` }, `${guarded.url}/whip/live/${scheme}`);
    const short = await fetch(`${guarded.url}/signaling/push`, {
      method: 'POST',
      headers: { ...JSON_TYPE, authorization: 'Bearer junk' },
      body: JSON.stringify({ stream: 'live/short', sdp: OBS, token: good }),
    });
    assert.equal(short.status, 200, await short.text());
    for (const [authorization, status] of [
      ['undefined', 401],
      ['Bearer junk', 401],
      [`Bearer ${await guarded.token('pull', 'live/*')}`, 403],
    ] as const)
      assert.equal((await publish({ authorization }, `${guarded.url}/whip/live/none`)).status, status, authorization);
  });

  test('a session tells how it is; HEAD too', async () => {
    const url = await published();
    const response = await fetch(url);
    assert.equal(response.status, 200);
    const status = (await response.json()) as Record<string, string>;
    assert.deepEqual(
      { ...status, since: '' },
      {
        session: url.split('/').at(-1),
        stream: `live/habit${names - 1}`,
        kind: 'push',
        protocol: 'whip',
        state: 'pending',
        since: '',
      },
    );
    assert.ok(Date.now() - Date.parse(status['since']!) < 60_000);
    const head = await fetch(url, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('etag')], [200, response.headers.get('etag')]);
    const events = await fetch(`${url}/events`, { method: 'HEAD' });
    assert.equal(events.status, 200);
    assert.match(events.headers.get('content-type')!, /^text\/event-stream/);
    assert.equal(node.sessions.get(url.split('/').at(-1)!)!.listenerCount('notice'), 0);
  });

  test('ending a session again is no error, by any way of ending one; one that never was is 404', async () => {
    const url = await published();
    const stop = (session: string, method = 'POST'): Promise<Response> =>
      fetch(`${node.url}/signaling/stop`, { method, headers: JSON_TYPE, body: JSON.stringify({ session }) });
    for (let i = 0; i < 3; i++) assert.equal((await fetch(url, { method: 'DELETE' })).status, 200);
    assert.equal((await stop(url.split('/').at(-1)!)).status, 200);
    assert.equal((await stop(`node-1~${url.split('/').at(-1)!}`, 'DELETE')).status, 200);
    const gone = await fetch(url);
    assert.equal(gone.status, 404);
    assert.match(await gone.text(), /it has ended: the client ended it/);
    assert.equal((await fetch(url.replace('/whip/', '/whep/'), { method: 'DELETE' })).status, 404, 'of another kind');
    assert.equal((await fetch(`${node.url}/whip/sessions/nobodys`, { method: 'DELETE' })).status, 404);
    const plain = await fetch(`${node.url}/rtp/push`, {
      method: 'POST',
      headers: { ...JSON_TYPE, authorization: `Bearer ${await node.token('push', 'live/*')}` },
      body: JSON.stringify({
        stream: fresh(),
        address: { ip: '127.0.0.1', port: 5004 },
        tracks: [{ kind: 'video', mimeType: 'video/VP8', payloadType: 96, clockRate: 90_000, ssrc: 1 }],
      }),
    });
    const { session } = (await plain.json()) as { session: string };
    const status = (await (await fetch(`${node.url}/rtp/sessions/${session}`)).json()) as Record<string, string>;
    assert.deepEqual([status['kind'], status['protocol']], ['push', 'rtp']);
    for (let i = 0; i < 2; i++)
      assert.equal((await fetch(`${node.url}/rtp/sessions/${session}`, { method: 'DELETE' })).status, 200);
  });

  test('a wrong Content-Type is told the right one and where its body belongs', async () => {
    const table: [path: string, method: string, type: string, says: RegExp, header: string, value: string][] = [
      ['/whip/live/x', 'POST', 'application/json', /application\/sdp.*\/signaling\/push/, 'accept-post', 'application/sdp'],
      ['/whep/live/x', 'POST', 'text/plain', /application\/sdp.*\/signaling\/pull/, 'accept-post', 'application/sdp'],
      ['/signaling/push', 'POST', 'application/sdp', /application\/json.*\/whip\//, 'accept-post', 'application/json'],
      ['/signaling/pull', 'POST', 'application/sdp', /application\/json.*\/whep\//, 'accept-post', 'application/json'],
      ['/signaling/sendanswer', 'POST', 'application/sdp', /application\/json.*PATCH/, 'accept-post', 'application/json'],
      ['/rtp/push', 'POST', 'application/sdp', /application\/json.*\/whip\//, 'accept-post', 'application/json'],
      [
        new URL(await published()).pathname,
        'PATCH',
        'application/sdp',
        /sdpfrag.*POST/,
        'accept-patch',
        'application/trickle-ice-sdpfrag',
      ],
    ];
    for (const [path, method, type, says, header, value] of table) {
      const response = await fetch(node.url + path, { method, headers: { 'content-type': type }, body: '{}' });
      assert.equal(response.status, 415, path);
      assert.match(response.headers.get('content-type')!, /^application\/problem\+json/);
      assert.match(await response.text(), says);
      assert.equal(response.headers.get(header), value, path);
    }
    for (const type of [
      'Application/SDP',
      'application/sdp; charset=utf-8',
      'application/sdp;charset="ISO-8859-1"',
      'application/sdp ;x',
    ])
      await published({ 'content-type': type });
  });

  test('a name that is taken and a stream that nobody publishes say when to ask again', async () => {
    const url = `${node.url}/whip/${fresh()}`;
    await published({}, url);
    const taken = await publish({}, url);
    assert.deepEqual([taken.status, taken.headers.get('retry-after')], [409, '10']);
    const nobody = await publish({}, `${node.url}/whep/live/nobody`, offerText('werift-whep'));
    assert.deepEqual([nobody.status, nobody.headers.get('retry-after')], [404, '2']);
  });

  test('slashes that are doubled, encoded or at the end mean what one means', async () => {
    for (const path of [
      '//whip/live/s1',
      '/whip//live///s2',
      '/whip/live/s3/',
      '/whip/live%2Fs4',
      '/whip/live/%735',
      '/WHIP/live/s6',
    ]) {
      const response = await publish({}, node.url + path);
      assert.equal(response.status, 201, `${path}: ${await response.clone().text()}`);
      assert.equal((await fetch(sessionUrl(response))).status, 200, path);
    }
    assert.deepEqual(
      [...node.directory.published.keys()].filter((name) => /^live\/s\d$/.test(name)).sort(),
      [1, 2, 3, 4, 5, 6].map((n) => `live/s${n}`),
    );
  });

  test('names that no URL reaches, and those with other letters, are refused with the rule', async () => {
    for (const path of ['/whip/sessions/x', '/whep/Sessions/x'])
      assert.match(await (await publish({}, node.url + path)).text(), /"status":400.*app: .*sessions/);
    for (const path of ['/whip/%C3%A9t%C3%A9/x', '/whip/live/%F0%9F%8E%A5'])
      assert.match(await (await publish({}, node.url + path)).text(), /must be app\/name: each half of letters/);
    for (const stream of ['sessions/x', 'live/..', './x']) {
      const response = await fetch(`${node.url}/signaling/push`, {
        method: 'POST',
        headers: JSON_TYPE,
        body: JSON.stringify({ stream, sdp: OBS }),
      });
      assert.equal(response.status, 400, stream);
      assert.match(await response.text(), /stream: must be app\/name/);
    }
  });

  test('what a session’s answer refers to holds behind a reverse proxy that strips a prefix', async (t) => {
    const { hostname, port } = new URL(node.url);
    const proxy = http.createServer((req, res) => {
      if (!req.url!.startsWith('/media/eu')) return void res.writeHead(421).end();
      const path = req.url!.slice('/media/eu'.length);
      const onward = http.request({ hostname, port, path, method: req.method, headers: req.headers }, (answer) => {
        res.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(res);
      });
      req.pipe(onward);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    t.after(() => proxy.close());
    const base = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/media/eu`;
    for (const path of ['/whip/live/p1', '/whip/live/p2/', '//whip/live/p3']) {
      const response = await publish({}, base + path);
      assert.equal(response.status, 201);
      const url = sessionUrl(response);
      assert.ok(new URL(url).pathname.startsWith('/media/eu/'), url);
      assert.equal((await fetch(url)).status, 200);
      const events = /<([^>]+)>; rel="urn:millrace:events"/.exec(response.headers.get('link')!)![1]!;
      assert.equal((await fetch(new URL(events, response.url), { method: 'HEAD' })).status, 200);
      if (path !== '/whip/live/p1') assert.equal((await fetch(url, { method: 'DELETE' })).status, 200);
    }
    const offered = await fetch(`${base}/signaling/pull`, { method: 'POST', headers: JSON_TYPE, body: '{"stream":"live/p1"}' });
    assert.equal(offered.status, 200, await offered.clone().text());
    const { resource, events } = (await offered.json()) as { resource: string; events: string };
    assert.equal((await fetch(new URL(resource, offered.url))).status, 200);
    assert.equal((await fetch(new URL(events, offered.url), { method: 'HEAD' })).status, 200);
  });

  test('a client has one address for limits and for plain RTP, however its proxy writes it', async (t) => {
    const behind = await startTestNode({ trustedProxies: ['127.0.0.0/8'], sessionsPerSecond: 2 });
    t.after(() => behind.close());
    const push = (ip: string, headers: Record<string, string>, token: string): Promise<Response> =>
      fetch(`${behind.url}/rtp/push`, {
        method: 'POST',
        headers: { ...JSON_TYPE, authorization: `Bearer ${token}`, ...headers },
        body: JSON.stringify({
          stream: fresh(),
          address: { ip, port: 5004 },
          tracks: [{ kind: 'video', mimeType: 'video/VP8', payloadType: 96, clockRate: 90_000, ssrc: 1 }],
        }),
      });
    const token = await behind.token('push', 'live/*');
    const taken = await push('192.0.2.7', { 'x-forwarded-for': '192.0.2.7:4711' }, token);
    assert.equal(taken.status, 201, await taken.text());
    assert.equal((await push('192.0.2.8', { forwarded: 'for="192.0.2.7:4712"' }, token)).status, 403, 'not its own');
    const third = await push('192.0.2.7', { forwarded: 'for=192.0.2.7' }, token);
    assert.equal(third.status, 429, 'the third session within a second of one client');
    const v6 = await push('2001:db8::1', { 'x-forwarded-for': '9.9.9.9, [2001:DB8::1]:4711' }, token);
    assert.notEqual(v6.status, 403, await v6.text());
  });
});
