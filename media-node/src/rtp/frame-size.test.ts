import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rtpPacket } from '@millrace/testkit/rtp';
import fc from 'fast-check';
import { frameSizeOf, RtpView, type FrameSize } from './index.ts';

function sizeOf(mimeType: string, payload: Buffer): FrameSize | undefined {
  const view = new RtpView();
  assert.ok(view.parse(rtpPacket({ payloadType: 96, ssrc: 1, seq: 1, timestamp: 1, payload })));
  return frameSizeOf(mimeType, view);
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
/** What FFmpeg 5.1 (libx264, libvpx) makes of a test picture: the SPS, or the first bytes of the frame. */
const SPS: [string, string, number, number][] = [
  ['Baseline', '6742c00bd901419f9f011000000300100000030140f142a480', 320, 192],
  ['Baseline', '6742c01fd9005005bb011000000300100000030140f1832480', 1280, 720],
  ['Baseline', '6742c028d900780227e5c044000003000400000300503c60c920', 1920, 1088],
  ['High', '6764000cacd941419f9f011000000300100000030140f1429960', 320, 192],
  ['High', '67640028acd940780227e5c044000003000400000300503c60c658', 1920, 1088],
  ['High 4:4:4', '67f4000c919b282833f1b80880000003008000000a078a14cb', 320, 192],
  ['High 4:4:4', '67f4001f919b280a00b76022000003000200000300281e30632c', 1280, 720],
];

describe('the size of a keyframe', () => {
  for (const [profile, sps, width, height] of SPS) {
    const nal = hex(sps);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(nal.length);
    test(`H.264 ${profile} ${width}x${height}: from the SPS alone, aggregated or fragmented`, () => {
      assert.deepEqual(sizeOf('video/H264', nal), { width, height });
      assert.deepEqual(sizeOf('video/H264', Buffer.concat([hex('78000209f0'), length, nal, hex('000468ce3c80')])), {
        width,
        height,
      });
      assert.deepEqual(sizeOf('video/H264', Buffer.concat([hex('7c87'), nal.subarray(1)])), { width, height });
      assert.equal(sizeOf('video/H264', hex('65888400')), undefined);
    });
  }

  for (const [frame, width, height] of [
    ['3051009d012a4001b4000047088585888584', 320, 180],
    ['909c009d012a800268010047088585888584', 640, 360],
  ] as const) {
    test(`VP8 ${width}x${height}, with and without picture ids`, () => {
      assert.deepEqual(sizeOf('video/VP8', Buffer.concat([hex('10'), hex(frame)])), { width, height });
      assert.deepEqual(sizeOf('video/VP8', Buffer.concat([hex('90e081230020'), hex(frame)])), { width, height });
    });
  }

  test('whatever the bytes, it ends with a size or with none', () => {
    const codecs = fc.constantFrom('video/VP8', 'video/VP9', 'video/H264', 'video/AV1', 'audio/opus');
    const starts = fc.constantFrom('', '67f4', '6764', '7807', '18', '1802', '88', 'aa', '90e0', '7c87');
    fc.assert(
      fc.property(codecs, starts, fc.uint8Array({ maxLength: 200 }), (codec, start, bytes) => {
        const size = sizeOf(codec, Buffer.concat([hex(start), bytes]));
        if (size) assert.ok(size.width > 0 && size.height > 0);
      }),
      { numRuns: 3000 },
    );
  });
});
