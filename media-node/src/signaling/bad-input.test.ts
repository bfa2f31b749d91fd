import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { tracksSchema } from '@millrace/api/trunk';
import fc from 'fast-check';
import { offerNames, offerText } from '@millrace/testkit/sdp';
import { eventually, sessionUrl, startTestNode, type TestNode } from './node.fixture.ts';

const SDP = { 'content-type': 'application/sdp' };
const JSON_TYPE = { 'content-type': 'application/json' };
const FRAGMENT = { 'content-type': 'application/trickle-ice-sdpfrag' };

interface Held {
  sessions: number;
  published: number;
  names: number;
  served: number;
  /** Routers, transports, producers, consumers and whatever else the workers know. */
  inWorkers: number;
}

async function held(node: TestNode): Promise<Held> {
  let inWorkers = 0;
  for (let core = 0; core < node.cores.count; core++) {
    const { channelMessageHandlers } = await node.cores.at(core)!.worker.dump();
    inWorkers += channelMessageHandlers.channelRequestHandlers.length;
  }
  return {
    sessions: node.sessions.size,
    published: node.hub.published.length,
    names: node.directory.published.size,
    served: node.hub.served.length,
    inWorkers,
  };
}

/** Checks a refusal, and that its text says more than its title. @returns the detail */
async function refusal(response: Response, what: string): Promise<string> {
  const text = await response.text();
  assert.ok(response.status >= 400 && response.status < 500, `${what}: ${response.status} ${text}`);
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/, what);
  const problem = JSON.parse(text) as { status: number; title: string; detail?: string };
  assert.equal(problem.status, response.status);
  assert.ok((problem.detail ?? '').length > 10, `${what}: ${text}`);
  return problem.detail!;
}

describe('whatever comes over HTTP', { timeout: 240_000 }, () => {
  let node: TestNode;
  let before_: Held;

  before(async () => {
    node = await startTestNode();
    const grant = node.directory.publish.bind(node.directory);
    // Control and other nodes take no other description of tracks.
    node.directory.publish = (request) => {
      tracksSchema.parse(request.tracks);
      return grant(request);
    };
    before_ = await held(node);
  });
  after(() => node.close());

  async function nothingIsLeft(): Promise<void> {
    await eventually('all is let go', async () => JSON.stringify(await held(node)) === JSON.stringify(before_)).catch(
      async (error) => {
        assert.deepEqual(await held(node), before_, String(error));
      },
    );
  }

  /** Ends the session of a 201; other answers must be refusals. */
  async function takeOrRefuse(response: Response, what: string): Promise<void> {
    if (response.status === 201) {
      await response.text();
      assert.equal((await fetch(sessionUrl(response), { method: 'DELETE' })).status, 200, what);
    } else {
      await refusal(response, what);
    }
  }

  const LINES = [
    'm=video 9 UDP/TLS/RTP/SAVPF 96',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111',
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'a=mid:0',
    'a=mid:1',
    'a=group:BUNDLE 0',
    'a=group:BUNDLE 1 0',
    'a=simulcast:send a;b;c',
    'a=rid:a send',
    'a=rtpmap:96 VP8/90000',
    'a=rtpmap:96 VP9/90000',
    'a=rtpmap:111 opus/48000/255',
    'a=fmtp:96 apt=96',
    'a=fmtp:111 __proto__=1;constructor=2',
    `a=fmtp:96 profile-level-id=${'4'.repeat(3000)}`,
    'a=extmap:0 urn:ietf:params:rtp-hdrext:sdes:mid',
    'a=extmap:300 urn:ietf:params:rtp-hdrext:sdes:mid',
    'a=extmap:14 urn:ietf:params:rtp-hdrext:sdes:mid',
    'a=ssrc:0 cname:x',
    'a=ssrc:4294967295 cname:x',
    'a=ssrc:1384275104 cname:x',
    'a=ssrc-group:SIM 1 1 1',
    'a=ssrc-group:FID 1384275105 1384275104',
    'a=sendrecv',
    'a=inactive',
    'a=setup:passive',
    'a=ice-ufrag:é',
    'a=fingerprint:md5 00',
    'b=AS:-1',
    `a=cname:${'x'.repeat(10_000)}`,
    '\0\0\0',
  ];
  const mutation = fc.record({
    at: fc.nat(400),
    kind: fc.constantFrom('drop', 'double', 'replace', 'insert', 'cut', 'flip'),
    line: fc.oneof(fc.constantFrom(...LINES), fc.string({ maxLength: 60 })),
  });

  function mutate(name: string, mutations: { at: number; kind: string; line: string }[]): string {
    let lines = offerText(name).split('\r\n');
    for (const { at, kind, line } of mutations) {
      const index = at % Math.max(1, lines.length);
      if (kind === 'drop') lines.splice(index, 1);
      else if (kind === 'double') lines.splice(index, 0, lines[index]!);
      else if (kind === 'replace') lines[index] = line;
      else if (kind === 'insert') lines.splice(index, 0, line);
      else if (kind === 'cut') lines = lines.slice(0, index + 1);
      else lines[index] = (lines[index] ?? '').replace(/\d/, (digit) => String((Number(digit) + 1) % 10));
    }
    return lines.join('\r\n');
  }

  test('offers of real clients with lines lost, doubled, changed: answered, or refused with line and remedy; nothing stays behind', async () => {
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...offerNames),
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        async (name, mutations) => {
          const body = mutate(name, mutations);
          const response = await fetch(`${node.url}/whip/fuzz/push`, { method: 'POST', headers: SDP, body });
          if (response.status === 201) taken += 1;
          await takeOrRefuse(response, body);
        },
      ),
      { numRuns: 250 },
    );
    assert.ok(taken > 10, `only ${taken} were taken: the mutations go too far to tell anything`);
    await nothingIsLeft();
  });

  test('viewers’ offers likewise, of a stream that is there', async () => {
    const published = await fetch(`${node.url}/whip/fuzz/pull`, { method: 'POST', headers: SDP, body: offerText('werift-whip') });
    assert.equal(published.status, 201, await published.text());
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...offerNames.filter((name) => name.includes('whep'))),
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        async (name, mutations) => {
          const body = mutate(name, mutations);
          const response = await fetch(`${node.url}/whep/fuzz/pull`, { method: 'POST', headers: SDP, body });
          if (response.status === 201) taken += 1;
          await takeOrRefuse(response, body);
        },
      ),
      { numRuns: 120 },
    );
    assert.ok(taken > 5, `only ${taken} were taken`);
    await fetch(sessionUrl(published), { method: 'DELETE' });
    await nothingIsLeft();
  });

  test('answers of viewers to the node’s own offer: a wrong one leaves the offer open, and the session ends whole', async () => {
    const published = await fetch(`${node.url}/whip/fuzz/answer`, {
      method: 'POST',
      headers: SDP,
      body: offerText('werift-whip'),
    });
    const pulled = await fetch(`${node.url}/signaling/pull`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify({ stream: 'fuzz/answer' }),
    });
    const { session, sdp } = (await pulled.json()) as { session: string; sdp: string };
    const answer = sdp
      .replaceAll('a=sendonly', 'a=recvonly')
      .replaceAll('a=setup:actpass', 'a=setup:active')
      .replace('a=ice-lite\r\n', '');
    const send = (text: string): Promise<Response> =>
      fetch(`${node.url}/signaling/sendanswer`, {
        method: 'POST',
        headers: JSON_TYPE,
        body: JSON.stringify({ session, sdp: text }),
      });
    const wrong: [string, RegExp][] = [
      [answer.replaceAll('a=recvonly', 'a=sendonly'), /a viewer receives/],
      [answer.replaceAll('a=setup:active', 'a=setup:actpass'), /must choose active or passive/],
      [answer.replace(/a=mid:1\r\n/, 'a=mid:9\r\n').replace('BUNDLE 0 1', 'BUNDLE 0 9'), /a=mid:1 missing/],
      [answer.replaceAll('a=rtpmap', 'a=nothing'), /none of the offered codecs/],
      [answer.replace(/a=fingerprint.*\r\n/g, ''), /a=fingerprint missing/],
      ['x', /begins with/],
    ];
    for (const [text, says] of wrong) assert.match(await refusal(await send(text), text), says);
    assert.equal((await send(answer)).status, 200);
    assert.match(await refusal(await send(answer), 'a second answer'), /already has its answer/);
    await fetch(`${node.url}/signaling/stop`, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify({ session }) });
    await fetch(sessionUrl(published), { method: 'DELETE' });
    await nothingIsLeft();
  });

  const ENDPOINTS = ['/signaling/push', '/signaling/pull', '/signaling/sendanswer', '/signaling/stop', '/rtp/push', '/rtp/pull'];

  test('JSON bodies of any kind at each endpoint are refused with the field', async () => {
    const value = fc.oneof(
      fc.jsonValue(),
      fc.record(
        {
          stream: fc.oneof(fc.constant('fuzz/json'), fc.jsonValue()),
          token: fc.oneof(fc.string(), fc.jsonValue()),
          sdp: fc.oneof(fc.string(), fc.jsonValue()),
          session: fc.oneof(fc.string(), fc.jsonValue()),
          group: fc.jsonValue(),
          address: fc.oneof(fc.record({ ip: fc.ipV4(), port: fc.integer() }), fc.jsonValue()),
          srtp: fc.oneof(fc.record({ cryptoSuite: fc.constant('AEAD_AES_128_GCM'), keyBase64: fc.string() }), fc.jsonValue()),
          tracks: fc.jsonValue(),
        },
        { requiredKeys: [] },
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...ENDPOINTS), value, async (path, body) => {
        const text = JSON.stringify(body);
        const response = await fetch(node.url + path, { method: 'POST', headers: JSON_TYPE, body: text });
        await refusal(response, `${path} ${text}`);
      }),
      { numRuns: 300 },
    );
    await nothingIsLeft();
  });

  test('wrong types, broken, empty and oversize bodies are refused at each endpoint', async () => {
    for (const path of ENDPOINTS) {
      const post = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>): Promise<Response> =>
        fetch(node.url + path, { method: 'POST', headers, body });
      assert.match(await refusal(await post('{}', { 'content-type': 'text/plain' }), path), /Content-Type: application\/json/);
      assert.match(await refusal(await post('{"stream":', JSON_TYPE), path), /no JSON object/);
      assert.match(await refusal(await post('[]', JSON_TYPE), path), /expected object/);
      assert.match(await refusal(await post('', JSON_TYPE), path), /stream|session/);
      const large = await post(`{"stream":"${'x'.repeat(300_000)}"}`, JSON_TYPE);
      assert.equal(large.status, 413, path);
      assert.match(await refusal(large, path), /at most \d+ bytes/);
      assert.match(
        await refusal(await post(new Uint8Array([0x1f, 0x8b, 8]), { ...JSON_TYPE, 'content-encoding': 'gzip' }), path),
        /compressed/,
      );
    }
    for (const path of ['/whip/fuzz/a', '/whep/fuzz/a']) {
      const post = (body: string, headers: Record<string, string>): Promise<Response> =>
        fetch(node.url + path, { method: 'POST', headers, body });
      assert.equal((await post('{}', JSON_TYPE)).status, 415);
      assert.match(await refusal(await post('', SDP), path), /must be an SDP offer/);
      assert.equal((await post('x'.repeat(100_000), SDP)).status, 413);
      assert.match(await refusal(await post('v=0', { ...SDP, 'content-encoding': 'gzip' }), path), /compressed/);
    }
    await nothingIsLeft();
  });

  test('names in the path of any kind are refused or not found', async () => {
    const name = fc.oneof(fc.string(), fc.constantFrom('..', '%2e%2e', '%00', '%ff', 'a%2Fb', 'x'.repeat(200), '~', 'a~b', '*'));
    await fc.assert(
      fc.asyncProperty(name, name, fc.constantFrom('POST', 'PATCH', 'DELETE', 'GET'), async (app, stream, method) => {
        const safe = (text: string): string =>
          text.includes('%') ? text.replace(/[^%\w.]/g, '') : encodeURIComponent(text.toWellFormed());
        for (const path of [
          `/whip/${safe(app)}/${safe(stream)}`,
          `/whep/sessions/${safe(stream)}`,
          `/rtp/sessions/${safe(app)}`,
          `/${safe(app)}`,
        ]) {
          const body = method === 'POST' || method === 'PATCH' ? 'v=0\r\n' : null;
          const response = await fetch(node.url + path, { method, body, headers: body === null ? {} : SDP });
          await refusal(response, `${method} ${path}`);
        }
      }),
      { numRuns: 60 },
    );
    await nothingIsLeft();
  });

  test('PATCHes with the wrong type, tag, fragment or session are refused and change nothing', async () => {
    const created = await fetch(`${node.url}/whip/fuzz/patch`, { method: 'POST', headers: SDP, body: offerText('obs-whip') });
    const url = sessionUrl(created);
    const etag = created.headers.get('etag')!;
    const patch = (body: string, headers: Record<string, string>): Promise<Response> =>
      fetch(url, { method: 'PATCH', body, headers });
    const good = 'a=ice-ufrag:Qh2p\r\na=ice-pwd:p5uYVdqGzF3mK8wNcRtLbX\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n';
    const refusals: [string, Record<string, string>, number][] = [
      [good, JSON_TYPE, 415],
      [good.replace('Qh2p', 'Zz9q'), FRAGMENT, 428],
      [good, { ...FRAGMENT, 'if-match': 'W/"x", garbage' }, 412],
      [good, { ...FRAGMENT, 'if-match': etag.replaceAll('"', '') }, 412],
      ['', { ...FRAGMENT, 'if-match': etag }, 400],
      ['a=ice-ufrag:x', { ...FRAGMENT, 'if-match': '*' }, 400],
      [`${good}a=candidate:x`, { ...FRAGMENT, 'if-match': etag }, 400],
      [good + 'a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n'.repeat(200), { ...FRAGMENT, 'if-match': etag }, 400],
      ['x'.repeat(100_000), { ...FRAGMENT, 'if-match': etag }, 413],
    ];
    for (const [body, headers, status] of refusals) {
      const response = await patch(body, headers);
      assert.equal(response.status, status, `${JSON.stringify(headers)} ${body.slice(0, 80)}`);
      await refusal(response, body.slice(0, 80));
    }
    assert.equal((await patch(good, { ...FRAGMENT, 'if-match': etag })).status, 204, 'the session is as it was');
    await fc.assert(
      fc.asyncProperty(
        fc.string(),
        fc.string().filter((tag) => /^[\x20-\x7e]*$/.test(tag)),
        async (body, tag) => {
          const response = await patch(body, { ...FRAGMENT, 'if-match': tag });
          await refusal(response, `${tag} ${body}`);
        },
      ),
      { numRuns: 60 },
    );
    assert.equal((await fetch(url, { method: 'DELETE' })).status, 200);
    assert.match(
      await refusal(await patch(good, { ...FRAGMENT, 'if-match': etag }), 'gone'),
      /it has ended: the client ended it; open a new one/,
    );
    await nothingIsLeft();
  });

  test('a codec that nobody has is answered 406, naming what was offered and what is relayed', async () => {
    const speex = offerText('obs-whip').replace('opus/48000/2', 'speex/32000').replace('H264/90000', 'H265/90000');
    const push = await fetch(`${node.url}/whip/fuzz/codec`, { method: 'POST', headers: SDP, body: speex });
    assert.equal(push.status, 406);
    assert.match(await refusal(push, 'push'), /among speex; offer one of opus/);
    const short = await fetch(`${node.url}/signaling/push`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify({ stream: 'fuzz/codec', sdp: speex }),
    });
    assert.equal(short.status, 406);
    assert.match(await refusal(short, 'short form'), /among speex/);
    const token = await node.token('push', 'fuzz/*');
    const plain = await fetch(`${node.url}/rtp/push`, {
      method: 'POST',
      headers: { ...JSON_TYPE, authorization: `Bearer ${token}` },
      body: JSON.stringify({
        stream: 'fuzz/codec',
        address: { ip: '127.0.0.1', port: 5004 },
        tracks: [{ kind: 'video', mimeType: 'video/H265', payloadType: 96, clockRate: 90_000, ssrc: 1 }],
      }),
    });
    assert.equal(plain.status, 400);
    assert.match(await refusal(plain, 'plain RTP'), /video\/H265\/90000 is not relayed; use one of .*video\/H264\/90000/);

    const published = await fetch(`${node.url}/whip/fuzz/codec`, { method: 'POST', headers: SDP, body: offerText('obs-whip') });
    assert.equal(published.status, 201, await published.text());
    const vp8 = await fetch(`${node.url}/whep/fuzz/codec`, { method: 'POST', headers: SDP, body: offerText('werift-whep') });
    assert.equal(vp8.status, 406);
    assert.match(
      await refusal(vp8, 'pull'),
      /the stream's video is H264 with profile-level-id 42e01f, offered are VP8; offer that codec/,
    );
    await fetch(sessionUrl(published), { method: 'DELETE' });
    await nothingIsLeft();
  });

  test('a client that leaves in the middle of its request leaves nothing behind', async () => {
    const { port } = new URL(node.url);
    const body = offerText('obs-whip');
    for (let i = 0; i < 30; i++) {
      const socket = net.connect(Number(port), '127.0.0.1');
      socket.on('error', () => undefined);
      const head = `POST /whip/fuzz/left${i} HTTP/1.1\r\nhost: a\r\ncontent-type: application/sdp\r\ncontent-length: ${body.length}\r\n\r\n`;
      const whole = head + body;
      const sent = i < 20 ? whole.slice(0, (whole.length * i) / 20) : whole;
      await new Promise<void>((resolve) => socket.write(sent, () => resolve()));
      if (i >= 20) await new Promise((resolve) => setTimeout(resolve, i - 20));
      socket.destroy();
    }
    // A whole request opens a session, as if its answer had been lost: it ends when nobody connects.
    await eventually('all is let go', async () => {
      node.sessions.closeAll('the test ends them');
      return JSON.stringify(await held(node)) === JSON.stringify(before_);
    });
  });
});
