import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PublishRequest } from '@millrace/api';
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
import { encodeHello } from '../trunk/link/hello.ts';
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
    const hop = { node, host: `${'h'.repeat(60)}.example`, port: 40_100 };
    const held = tracks.flatMap(({ track }) =>
      layers.map(({ layer }) => ({ epoch: 2 ** 48 - 1, track, layer, seq: 2 ** 48 - 1 })),
    );
    const hops = path.map(() => hop);
    const conversations = { audio: 0xffff_fffe, video: 0xffff_ffff };
    const subscribe = {
      type: 'subscribe' as const,
      id: 1,
      stream,
      path: hops,
      backup: hops,
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
    const name = 'n'.repeat(MAX_NODE_NAME);
    assert.ok(encodeHello({ ...hello, node: name, peer: name }).length > 0);
    assert.throws(() => encodeHello({ ...hello, node: `${name}n`, peer: name }), /node name/);
  });
});
