import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MAX_GRANT_CHARACTERS, MAX_SDP_BYTES, PublishRequest } from '@millrace/api';
import {
  decodeTrunkControlMessage,
  encodeTrunkControlMessage,
  MAX_CODEC_PARAMETERS,
  MAX_LAYERS,
  MAX_NODE_NAME,
  MAX_PARAMETER_NAME,
  MAX_PARAMETER_VALUE,
  MAX_PATH_HOPS,
  MAX_TRACKS,
  type TrackDescription,
} from '@millrace/api/trunk';
import { offerText } from '@millrace/testkit/sdp';
import { decodeHello } from '../trunk/link/hello.ts';
import { Identity, SEED_BYTES } from '../trunk/link/identity.ts';
import { startTestNode } from './node.fixture.ts';

interface Track {
  kind: string;
  mimeType: string;
  payloadType: number;
  clockRate: number;
  channels?: number;
  parameters?: Record<string, string | number>;
  ssrc: number;
}

const VIDEO: Track = { kind: 'video', mimeType: 'video/VP8', payloadType: 96, clockRate: 90_000, ssrc: 4711 };
const audio = (n: number): Track => {
  return { kind: 'audio', mimeType: 'audio/opus', payloadType: 100 + n, clockRate: 48_000, channels: 2, ssrc: 5000 + n };
};
const withParameters = (parameters: Record<string, string>): Track[] => [{ ...VIDEO, parameters }];
const parameters = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, 'y']));

/** What a client may ask for, at the bound and one beyond it; beyond, what the refusal names. */
const BOUNDS: [
  what: string,
  at: { stream?: string; tracks: Track[] },
  beyond: { stream?: string; tracks: Track[] },
  named: RegExp,
][] = [
  [
    'the app of a stream name',
    { stream: `${'a'.repeat(64)}/x`, tracks: [VIDEO] },
    { stream: `${'a'.repeat(65)}/x`, tracks: [VIDEO] },
    /stream/,
  ],
  [
    'the name of a stream',
    { stream: `live/${'n'.repeat(128)}`, tracks: [VIDEO] },
    { stream: `live/${'n'.repeat(129)}`, tracks: [VIDEO] },
    /stream/,
  ],
  [
    'tracks',
    { tracks: Array.from({ length: MAX_TRACKS }, (_, n) => audio(n)) },
    { tracks: Array.from({ length: MAX_TRACKS + 1 }, (_, n) => audio(n)) },
    /tracks/,
  ],
  [
    'codec parameters',
    { tracks: withParameters(parameters(MAX_CODEC_PARAMETERS)) },
    { tracks: withParameters(parameters(MAX_CODEC_PARAMETERS + 1)) },
    /parameters/,
  ],
  [
    'the name of a codec parameter',
    { tracks: withParameters({ ['p'.repeat(MAX_PARAMETER_NAME)]: 'y' }) },
    { tracks: withParameters({ ['p'.repeat(MAX_PARAMETER_NAME + 1)]: 'y' }) },
    /parameters/,
  ],
  [
    'the value of a codec parameter',
    { tracks: withParameters({ x: 'y'.repeat(MAX_PARAMETER_VALUE) }) },
    { tracks: withParameters({ x: 'y'.repeat(MAX_PARAMETER_VALUE + 1) }) },
    /parameters/,
  ],
];

const simulcast = (rids: string[]): string =>
  offerText('chromium-whip-simulcast')
    .replace(/a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\n/, rids.map((rid) => `a=rid:${rid} send\r\n`).join(''))
    .replace('a=simulcast:send q;h;f', `a=simulcast:send ${rids.join(';')}`);
const layers = (count: number): string[] => Array.from({ length: count }, (_, n) => `r${n}`);

/** An offer of this many audio sections. */
function sections(count: number): string {
  const [session, audioSection] = offerText('werift-whip').split(/(?=^m=)/m) as [string, string];
  const mids = Array.from({ length: count }, (_, n) => `s${n}`);
  const all = mids.map((mid, n) =>
    audioSection
      .replace(/a=mid:\S+/, `a=mid:${mid}`)
      .replaceAll(/a=ssrc:\d+/g, `a=ssrc:${1000 + n}`)
      .replace(/a=ssrc-group.*\r\n/g, ''),
  );
  return session.replace(/a=group:BUNDLE .*/, `a=group:BUNDLE ${mids.join(' ')}`) + all.join('');
}

const withFmtp = (count: number, value = '1'): string =>
  offerText('werift-whip').replace(/(a=rtpmap:(\d+) opus.*\r\n)(a=fmtp:\2 .*\r\n)?/i, (_, rtpmap: string, type: string) => {
    const parameters = Array.from({ length: count }, (__, n) => `x-${n}=${value}`).join(';');
    return `${rtpmap}a=fmtp:${type} ${parameters}\r\n`;
  });

const descriptions: {
  what: string;
  at: string;
  beyond: string;
  named: RegExp;
  seen: (tracks: readonly TrackDescription[], answer: string) => void;
}[] = [
  {
    what: 'simulcast layers',
    at: simulcast(layers(MAX_LAYERS)),
    beyond: simulcast(layers(MAX_LAYERS + 1)),
    named: /a=simulcast:send/,
    seen: (tracks) => assert.equal(tracks.find(({ kind }) => kind === 'video')?.layers.length, MAX_LAYERS),
  },
  {
    what: 'a rid',
    at: simulcast(['q'.repeat(16), 'h', 'f']),
    beyond: simulcast(['q'.repeat(17), 'h', 'f']),
    named: /a=rid:q{17}/,
    seen: (_, answer) => assert.match(answer, /a=rid:q{16} recv/),
  },
  {
    what: 'sections',
    at: sections(MAX_TRACKS),
    beyond: sections(MAX_TRACKS + 1),
    named: /m=/,
    seen: (tracks) => assert.equal(tracks.length, MAX_TRACKS),
  },
  {
    what: 'codec parameters',
    at: withFmtp(MAX_CODEC_PARAMETERS),
    beyond: withFmtp(MAX_CODEC_PARAMETERS + 1),
    named: /parameters/,
    seen: (tracks) => assert.ok(tracks.some(({ codec }) => Object.keys(codec.parameters ?? {}).length === MAX_CODEC_PARAMETERS)),
  },
  {
    what: 'the value of a codec parameter',
    at: withFmtp(1, 'v'.repeat(MAX_PARAMETER_VALUE)),
    beyond: withFmtp(1, 'v'.repeat(MAX_PARAMETER_VALUE + 1)),
    named: /parameters\.x-0/,
    seen: (tracks) => assert.ok(tracks.some(({ codec }) => String(codec.parameters?.['x-0']).length === MAX_PARAMETER_VALUE)),
  },
  {
    what: 'bytes of a description',
    at: padded(MAX_SDP_BYTES),
    beyond: padded(MAX_SDP_BYTES + 1),
    named: /large/,
    seen: (tracks) => assert.ok(tracks.length > 0),
  },
];

function padded(bytes: number): string {
  const offer = offerText('werift-whip');
  const line = `a=x-${'p'.repeat(200)}\r\n`;
  const count = Math.floor((bytes - offer.length) / line.length) - 1;
  const text = offer + line.repeat(count);
  return `${text}a=x-${'p'.repeat(bytes - text.length - 6)}\r\n`;
}

describe('What a publisher may ask for', { timeout: 60_000 }, () => {
  test('is carried up to its bounds from the publisher to the viewer; beyond, the first layer refuses and names it', async () => {
    const node = await startTestNode();
    try {
      const ask = async (act: 'push' | 'pull', body: object, stream: string): Promise<{ status: number; text: string }> => {
        const token = await node.token(act, stream);
        const response = await fetch(`${node.url}/rtp/${act}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
          body: JSON.stringify({ stream, address: { ip: '127.0.0.1', port: 5004 }, ...body }),
        });
        return { status: response.status, text: await response.text() };
      };
      for (const [what, at, beyond, named] of BOUNDS) {
        const stream = at.stream ?? `live/${what.replaceAll(' ', '-')}`;
        const published = await ask('push', { tracks: at.tracks }, stream);
        assert.equal(published.status, 201, `${what}: ${published.text}`);
        const pulled = await ask('pull', {}, stream);
        assert.equal(pulled.status, 201, `${what}: ${pulled.text}`);
        const { tracks } = JSON.parse(pulled.text) as { tracks: unknown[] };
        assert.equal(tracks.length, at.tracks.length, what);
        const refused = await ask('push', { tracks: beyond.tracks }, beyond.stream ?? 'live/beyond');
        assert.equal(refused.status, 400, `${what}: ${refused.text}`);
        assert.match(refused.text, named);
      }
    } finally {
      await node.close();
    }
  });

  test('of a session description is carried up to its bounds to a viewer; beyond, the refusal names it', async (t) => {
    const node = await startTestNode();
    t.after(() => node.close());
    const post = async (act: 'whip' | 'whep', stream: string, body: string): Promise<{ status: number; text: string }> => {
      const token = await node.token(act === 'whip' ? 'push' : 'pull', stream);
      const headers = { 'content-type': 'application/sdp', authorization: `Bearer ${token}` };
      const response = await fetch(`${node.url}/${act}/${stream}`, { method: 'POST', headers, body });
      return { status: response.status, text: await response.text() };
    };
    for (const [i, { what, at, beyond, named, seen }] of descriptions.entries()) {
      const stream = `sdp/${i}`;
      const published = await post('whip', stream, at);
      assert.equal(published.status, 201, `${what}: ${published.text}`);
      const { tracks } = node.directory.published.get(stream)!.state;
      seen(tracks!, published.text);
      const pulled = await post('whep', stream, offerText('chromium-whep'));
      assert.equal(pulled.status, 201, `${what}: ${pulled.text}`);
      const refused = await post('whip', `sdp/beyond-${i}`, beyond);
      assert.ok(refused.status === 400 || refused.status === 413, `${what}: ${refused.status} ${refused.text}`);
      assert.match(refused.text, named, what);
    }
  });

  test('of payload types over plain RTP is carried, or refused with the remedy where RTCP has the number', async (t) => {
    const node = await startTestNode();
    t.after(() => node.close());
    const post = async (act: 'push' | 'pull', stream: string, body: object): Promise<{ status: number; text: string }> => {
      const response = await fetch(`${node.url}/rtp/${act}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${await node.token(act, stream)}` },
        body: JSON.stringify({ stream, address: { ip: '127.0.0.1', port: 5004 }, ...body }),
      });
      return { status: response.status, text: await response.text() };
    };
    for (const payloadType of [0, 34, 35, 63, 64, 72, 76, 95, 96, 127, 128]) {
      const stream = `types/${payloadType}`;
      const published = await post('push', stream, { tracks: [{ ...VIDEO, payloadType }] });
      if (payloadType > 127) assert.match(published.text, /payloadType/);
      if (payloadType > 127 || (payloadType >= 64 && payloadType <= 95)) {
        assert.equal(published.status, 400, `${payloadType}: ${published.text}`);
        if (payloadType <= 95) assert.match(published.text, /RTCP.*96 to 127/);
        continue;
      }
      assert.equal(published.status, 201, `${payloadType}: ${published.text}`);
      assert.equal((await post('pull', stream, {})).status, 201, String(payloadType));
    }
  });

  test('of user ids goes from the token to the directory, up to its bound', async (t) => {
    const node = await startTestNode();
    t.after(() => node.close());
    const publish = async (user: string): Promise<Response> =>
      fetch(`${node.url}/rtp/push`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${await node.token('push', 'live/u', { sub: user })}`,
        },
        body: JSON.stringify({ stream: 'live/u', address: { ip: '127.0.0.1', port: 5004 }, tracks: [VIDEO] }),
      });
    const refused = await publish('u'.repeat(257));
    assert.equal(refused.status, 401);
    assert.match(await refused.text(), /sub/);
    const longest = '😀'.repeat(128);
    assert.equal((await publish(longest)).status, 201);
    assert.equal(node.directory.users.get('live/u'), longest);
  });

  test('at all bounds at once, as far as a description may go, fits the agent channel and a message on a trunk', () => {
    const layers = Array.from({ length: MAX_LAYERS }, (_, layer) => ({ layer, ssrc: 0xffff_fff0 + layer, rid: 'r'.repeat(16) }));
    const codec = { mimeType: 'video/H264', payloadType: 102, clockRate: 90_000, parameters: parameters(MAX_CODEC_PARAMETERS) };
    const tracks: TrackDescription[] = Array.from({ length: MAX_TRACKS }, (_, track) => {
      return { track, kind: 'video' as const, codec, headerExtensions: [], layers };
    });
    const stream = `${'a'.repeat(64)}/${'n'.repeat(128)}`;
    assert.ok(PublishRequest.safeParse({ stream, session: 's', user: 'u'.repeat(256), tracks }).success);
    const node = 'n'.repeat(MAX_NODE_NAME);
    const path = Array.from({ length: MAX_PATH_HOPS }, () => node);
    const subscribed = { type: 'subscribed' as const, id: 1, epoch: 1, tracks, path };
    assert.deepEqual(decodeTrunkControlMessage(encodeTrunkControlMessage(subscribed)), subscribed);
    const held = tracks.flatMap(({ track }) =>
      layers.map(({ layer }) => ({ epoch: 2 ** 48 - 1, track, layer, seq: 2 ** 48 - 1 })),
    );
    const conversations = { audio: 0xffff_fffe, video: 0xffff_ffff };
    const subscribe = {
      type: 'subscribe' as const,
      id: 1,
      stream,
      grant: `a.${'b'.repeat(MAX_GRANT_CHARACTERS - 4)}.c`,
      path,
      backup: path,
      via: path,
      layers: [],
      held,
      conversations,
    };
    assert.deepEqual(decodeTrunkControlMessage(encodeTrunkControlMessage(subscribe)), subscribe);
  });

  test('two nodes with the longest names can speak to each other', () => {
    const hello = {
      index: 1,
      stamp: 1n,
      boot: '00'.repeat(8),
      generation: 0,
      capabilities: 0,
      maxDatagram: 1472,
      receiveWindow: 1,
    };
    const identity = new Identity(Buffer.alloc(SEED_BYTES, 1));
    const written = (node: string, peer: string): Buffer => identity.hello({ ...hello, node, peer }, Buffer.alloc(32));
    const name = 'n'.repeat(MAX_NODE_NAME);
    assert.equal(decodeHello(written(name, name))?.peer, name);
    assert.throws(() => written(`${name}n`, name), /node name/);
  });
});
