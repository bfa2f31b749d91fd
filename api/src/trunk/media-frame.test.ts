import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DISCARDABLE, FRAME_END, FRAME_START, KEYFRAME, MARK_FLAGS, spatialOf, temporalOf, withLayers } from './frame-marks.ts';
import {
  FRAME_KIND_RTP,
  FRAME_KIND_SENDER_REPORT,
  MEDIA_HEADER_BYTES,
  mediaFrameFault,
  readMediaHeader,
  writeMediaHeader,
} from './media-frame.ts';

const rtp = (bytes = 12) => {
  const frame = new Uint8Array(MEDIA_HEADER_BYTES + bytes);
  frame[MEDIA_HEADER_BYTES] = 0x80;
  return frame;
};

describe('the media frame header', () => {
  test('comes back as it was written, whatever its fields', () => {
    fc.assert(
      fc.property(
        fc.record({
          marks: fc
            .tuple(fc.integer({ min: 0, max: MARK_FLAGS }), fc.nat(15), fc.nat(15))
            .map(([f, s, t]) => withLayers(f, s, t)),
          track: fc.nat(15),
          layer: fc.nat(7),
          epoch: fc.nat(2 ** 48 - 1),
          seq: fc.nat(2 ** 48 - 1),
        }),
        (fields) => {
          const frame = rtp();
          writeMediaHeader(frame, { kind: FRAME_KIND_RTP, ...fields });
          assert.equal(mediaFrameFault(frame), undefined);
          assert.deepEqual(readMediaHeader(frame), { kind: FRAME_KIND_RTP, ...fields });
        },
      ),
    );
  });

  test('has these bytes on the wire', () => {
    const frame = rtp();
    const marks = withLayers(FRAME_START | KEYFRAME, 2, 1);
    writeMediaHeader(frame, { kind: FRAME_KIND_RTP, marks, track: 3, layer: 2, epoch: 0x0102_0304_0506, seq: 0xfeff });
    assert.equal(Buffer.from(frame.subarray(0, 16)).toString('hex'), '10053221' + '010203040506' + '00000000feff');
  });

  test('keeps the layer ids apart from the flags', () => {
    const marks = withLayers(FRAME_END | DISCARDABLE, 3, 2);
    assert.deepEqual([spatialOf(marks), temporalOf(marks), marks & 0xff], [3, 2, FRAME_END | DISCARDABLE]);
  });

  test('says what is wrong with bytes that are no frame', () => {
    const wrong: [string, (frame: Uint8Array<ArrayBuffer>) => Uint8Array, RegExp][] = [
      ['cut in the header', (f) => f.subarray(0, 15), /15 bytes/],
      ['too long', () => rtp(4000), /at most 2048/],
      ['a later version', (f) => f.with(0, 0x20), /version 2/],
      ['an unknown kind', (f) => f.with(0, 0x17), /kind 7/],
      ['an unknown flag', (f) => f.with(1, 0x80), /flags 0x80/],
      ['a layer out of range', (f) => f.with(2, 0x09), /layer 9/],
      ['not RTP inside', (f) => f.with(MEDIA_HEADER_BYTES, 0x40), /no RTP/],
      ['a cut sender report', (f) => f.with(0, 0x10 | FRAME_KIND_SENDER_REPORT).subarray(0, 20), /sender report of 4/],
    ];
    for (const [name, spoil, expected] of wrong) {
      const frame = rtp();
      writeMediaHeader(frame, { kind: FRAME_KIND_RTP, marks: 0, track: 0, layer: 0, epoch: 1, seq: 1 });
      assert.match(mediaFrameFault(spoil(frame)) ?? 'no fault', expected, name);
    }
  });

  test('is read from any bytes without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        if (mediaFrameFault(bytes) === undefined) assert.ok(readMediaHeader(bytes).seq < 2 ** 48);
      }),
      { numRuns: 2000 },
    );
  });
});
