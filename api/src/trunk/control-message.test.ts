import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  TrunkControlMessageError,
  decodeTrunkControlMessage,
  encodeTrunkControlMessage,
  type TrunkControlMessage,
  SUBSCRIPTION_VERSION,
} from './control-message.ts';

const track = {
  track: 0,
  kind: 'video' as const,
  codec: { mimeType: 'video/H264', payloadType: 102, clockRate: 90000, parameters: { 'packetization-mode': 1 } },
  headerExtensions: [{ uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', id: 1 }],
  layers: [{ layer: 0, ssrc: 0xffff_ffff }],
};
const subscribe: TrunkControlMessage = {
  type: 'subscribe',
  id: 7,
  stream: 'live/demo',
  epoch: 1_900_000_000_000,
  path: ['origin-1'],
  backup: ['relay-2', 'origin-1'],
  via: ['edge-1'],
  layers: [{ track: 0, mask: 5 }],
  held: [{ epoch: 1_900_000_000_000, track: 0, layer: 2, seq: 70_000 }],
  conversations: { audio: 16, video: 18 },
};
const messages: TrunkControlMessage[] = [
  subscribe,
  { type: 'subscribed', id: 7, epoch: 5, tracks: [track], path: ['origin-1'] },
  { type: 'unsubscribe', id: 7 },
  { type: 'tracks', id: 7, epoch: 6, tracks: [track] },
  { type: 'path', id: 7, path: ['relay-1', 'origin-1'], rttMs: 81.5, lossPercent: 0.2 },
  { type: 'keyframe', id: 7, track: 0, layer: 1 },
  { type: 'lost', id: 7, reason: 'trunk to relay-1 lost' },
  { type: 'ended', id: 7, epoch: 6, reason: 'publisher left' },
  { type: 'refused', id: 7, code: 'unknown-stream', reason: 'live/demo is not published here' },
];

const encode = (json: unknown) => new TextEncoder().encode(JSON.stringify(json));
const failure = (bytes: Uint8Array): TrunkControlMessageError => {
  try {
    decodeTrunkControlMessage(bytes);
  } catch (error) {
    assert.ok(error instanceof TrunkControlMessageError);
    return error;
  }
  throw new assert.AssertionError({ message: 'was taken' });
};

describe('a subscription message', () => {
  for (const message of messages) {
    test(`${message.type} comes back as it was sent`, () => {
      assert.deepEqual(decodeTrunkControlMessage(encodeTrunkControlMessage(message)), message);
    });
  }

  test('of a later version is refused by its id', () => {
    const error = failure(encode({ ...subscribe, v: 99 }));
    assert.deepEqual([error.code, error.id], ['version', 7]);
  });

  test('with a wrong field names it', () => {
    const wrong: [object, RegExp][] = [
      [{ stream: 'no-slash' }, /stream/],
      [{ stream: '../etc/passwd' }, /stream/],
      [{ path: Array.from({ length: 17 }, () => 'a') }, /path/],
      [{ path: ['n'.repeat(121)] }, /path/],
      [{ path: [{ node: 'a', host: '203.0.113.9', port: 9 }] }, /path/],
      [{ conversations: { audio: 0, video: 2 } }, /conversations/],
      [{ held: [{ epoch: 1, track: 16, layer: 0, seq: 1 }] }, /held/],
      [{ layers: [{ track: 0, mask: 256 }] }, /mask/],
      [{ via: [] }, /via/],
    ];
    for (const [field, expected] of wrong) {
      const error = failure(encode({ v: SUBSCRIPTION_VERSION, ...subscribe, ...field }));
      assert.deepEqual([error.code, error.id], ['invalid', 7]);
      assert.match(error.message, expected);
    }
  });

  test('that is too long is refused before it is parsed', () => {
    assert.match(failure(new Uint8Array(70_000)).message, /at most 65536/);
  });

  test('made of any bytes, or of a right one with bytes changed, is read or refused and never throws otherwise', () => {
    const right = encodeTrunkControlMessage(subscribe);
    const spoiled = fc.array(fc.tuple(fc.nat(right.length - 1), fc.nat(255)), { maxLength: 8 }).map((changes) => {
      const bytes = right.slice();
      for (const [at, value] of changes) bytes[at] = value;
      return bytes;
    });
    const anyJson = fc.json().map((text) => new TextEncoder().encode(text));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), spoiled, anyJson), (bytes) => {
        try {
          decodeTrunkControlMessage(bytes);
        } catch (error) {
          assert.ok(error instanceof TrunkControlMessageError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
