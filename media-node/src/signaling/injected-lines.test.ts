import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { tracksSchema, type TrackDescription } from '@millrace/api/trunk';
import { writeOffer } from '../sdp/index.ts';
import { localTransport } from '../sdp/sdp.fixture.ts';
import { startTestNode, type TestNode } from './node.fixture.ts';

const LINES =
  '1\r\na=ice-ufrag:evil\r\na=ice-pwd:evil-evil-evil-evil-evil\r\na=candidate:1 1 udp 4294967295 203.0.113.66 9 typ host';
const BREAKS = ['\r\n', '\n', '\r', '\0', '\u2028', '\x0b'];
const TRACK = { kind: 'video', mimeType: 'video/VP8', payloadType: 96, clockRate: 90_000, ssrc: 7 };

/** A publisher, or a node that relays its stream, may write no line of its own into the descriptions that viewers get. */
describe('a line break in what a publisher says of its tracks', () => {
  let node: TestNode;
  before(async () => {
    node = await startTestNode();
  });
  after(() => node.close());

  const push = async (track: object): Promise<{ status: number; detail: string }> => {
    const response = await fetch(`${node.url}/rtp/push`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await node.token('push', 'live/*')}` },
      body: JSON.stringify({ stream: 'live/lines', address: { ip: '127.0.0.1', port: 9 }, tracks: [track] }),
    });
    const { detail = '' } = (await response.json()) as { detail?: string };
    return { status: response.status, detail };
  };

  test('is refused in each field, with the field', async () => {
    for (const text of [LINES, ...BREAKS.map((each) => `1${each}2`), 'a;b=1'])
      for (const [track, field] of [
        [{ ...TRACK, parameters: { x: text } }, /tracks\.0\.parameters\.x/],
        [{ ...TRACK, parameters: { [text]: 1 } }, /tracks\.0\.parameters/],
        [{ ...TRACK, mimeType: `video/${text}` }, /tracks\.0\.mimeType/],
      ] as const) {
        const { status, detail } = await push(track);
        assert.equal(status, 400, JSON.stringify(track));
        assert.match(detail, field);
      }
  });

  test('is refused in the descriptions that control and other nodes send', () => {
    const good: TrackDescription = {
      track: 0,
      kind: 'video',
      codec: {
        mimeType: 'video/H264',
        payloadType: 96,
        clockRate: 90_000,
        parameters: { 'profile-level-id': '42e01f', 'packetization-mode': 1, 'sprop-parameter-sets': 'Z0LA+/==,aMuMsg==' },
        rtcpFeedback: [{ type: 'nack', parameter: 'pli' }, { type: 'ccm', parameter: 'fir 1 2' }, { type: 'goog-remb' }],
      },
      headerExtensions: [{ uri: 'http://www.webrtc.org/experiments/rtp-hdrext/playout-delay', id: 3 }],
      layers: [{ layer: 0, ssrc: 1, rid: 'hi_1', scalabilityMode: 'L1T3_KEY' }],
    };
    assert.ok(tracksSchema.safeParse([good]).success);
    const {
      codec,
      layers: [layer],
    } = good;
    for (const text of [LINES, ...BREAKS.map((each) => `1${each}2`)])
      for (const bad of [
        { ...good, codec: { ...codec, mimeType: `video/${text}` } },
        { ...good, codec: { ...codec, parameters: { x: text } } },
        { ...good, codec: { ...codec, parameters: { [text]: 1 } } },
        { ...good, codec: { ...codec, rtcpFeedback: [{ type: text }] } },
        { ...good, codec: { ...codec, rtcpFeedback: [{ type: 'nack', parameter: text }] } },
        { ...good, headerExtensions: [{ uri: text, id: 1 }] },
        { ...good, layers: [{ ...layer, rid: text }] },
        { ...good, layers: [{ ...layer, scalabilityMode: text }] },
      ])
        assert.equal(tracksSchema.safeParse([bad]).success, false, JSON.stringify(bad));
  });

  test('never reaches a description: the writer refuses it', () => {
    const section = {
      mid: '0',
      kind: 'video' as const,
      direction: 'sendonly' as const,
      codecs: [{ mimeType: 'video/VP8', payloadType: 96, clockRate: 90_000, parameters: { x: LINES } }],
      extensions: [],
    };
    assert.throws(() => writeOffer({ sessionId: '1', version: 1 }, localTransport, [section]), /line break/);
  });
});
