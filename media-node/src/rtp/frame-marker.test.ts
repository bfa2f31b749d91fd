import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DISCARDABLE, FRAME_END, FRAME_START, INDEPENDENT, KEYFRAME, spatialOf, temporalOf } from '@millrace/api/trunk';
import { DEPENDENCY_DESCRIPTOR_URI } from './av1.ts';
import { createFrameMarker, type FrameMarker } from './frame-marker.ts';
import { rtpPacket } from '@millrace/testkit/rtp';
import { RtpView } from './rtp-packet.ts';

const DD_ID = 12;
const marker = (mimeType: string) =>
  createFrameMarker({ codec: { mimeType }, headerExtensions: [{ uri: DEPENDENCY_DESCRIPTOR_URI, id: DD_ID }] });

interface Input {
  payload: number[];
  last?: boolean;
  descriptor?: number[];
}

function marksOf(mark: FrameMarker, { payload, last, descriptor }: Input): number {
  const view = new RtpView();
  const extensions = descriptor ? { [DD_ID]: Uint8Array.from(descriptor) } : undefined;
  assert.ok(view.parse(rtpPacket({ payload, marker: last ?? false, extensions })));
  return mark(view);
}

const NAMES: [number, string][] = [
  [FRAME_START, 'start'],
  [FRAME_END, 'end'],
  [KEYFRAME, 'keyframe'],
  [INDEPENDENT, 'independent'],
  [DISCARDABLE, 'discardable'],
];
function words(marks: number): string {
  const flags = NAMES.filter(([bit]) => marks & bit).map(([, name]) => name);
  const layers = [spatialOf(marks) ? `s${spatialOf(marks)}` : '', temporalOf(marks) ? `t${temporalOf(marks)}` : ''];
  return [...flags, ...layers].filter(Boolean).join(' ');
}

const cases: Record<string, [what: string, input: Input, marks: string][]> = {
  'video/H264': [
    ['a single SPS', { payload: [0x67, 0x42, 0x00] }, 'keyframe independent'],
    ['an IDR slice without an SPS, which mediasoup takes for no keyframe', { payload: [0x65, 1] }, 'independent'],
    ['a slice that ends its frame', { payload: [0x41, 1], last: true }, 'end'],
    ['a slice that nothing refers to', { payload: [0x01, 1] }, 'discardable'],
    ['a STAP-A with SPS, PPS and IDR', { payload: [0x78, 0, 1, 0x67, 0, 1, 0x68, 0, 1, 0x65] }, 'keyframe independent'],
    ['a STAP-A of slices', { payload: [0x58, 0, 1, 0x41, 0, 1, 0x41] }, ''],
    ['a STAP-A cut inside', { payload: [0x78, 0, 200, 0x41] }, ''],
    ['a FU-A that begins an SPS', { payload: [0x7c, 0x87, 1] }, 'keyframe independent'],
    ['a FU-A that goes on with an SPS', { payload: [0x7c, 0x07, 1] }, 'independent'],
    ['a FU-A of an IDR slice', { payload: [0x7c, 0x85, 1] }, 'independent'],
    ['one byte', { payload: [0x67] }, ''],
    ['nothing', { payload: [] }, ''],
  ],
  'video/VP8': [
    ['the first packet of a keyframe', { payload: [0x10, 0x00] }, 'start keyframe independent'],
    ['a later packet of a keyframe', { payload: [0x00, 0x00], last: true }, 'end'],
    ['a later partition', { payload: [0x11, 0x00] }, ''],
    ['an inter frame nobody refers to', { payload: [0x30, 0x01], last: true }, 'start end discardable'],
    ['picture id of 7 bits, TL0PICIDX, TID 2', { payload: [0x90, 0xe0, 0x05, 0x09, 0x80, 0x01] }, 'start t2'],
    ['picture id of 15 bits and a keyframe', { payload: [0x90, 0x80, 0x81, 0x05, 0x00] }, 'start keyframe independent'],
    ['a cut picture id', { payload: [0x90, 0x80, 0x81] }, ''],
    ['a cut extension', { payload: [0x90] }, ''],
  ],
  'video/VP9': [
    ['the first packet of a keyframe', { payload: [0x8a, 0x01, 0x00] }, 'start keyframe independent'],
    ['the whole of an inter frame', { payload: [0xcc, 0x01], last: true }, 'start end'],
    ['spatial layer 1 of a keyframe, predicted from layer 0', { payload: [0xa8, 0x01, 0x03, 0x00] }, 'start s1'],
    ['temporal layer 2, spatial layer 1 at its end', { payload: [0xe4, 0x01, 0x42, 0x00] }, 'end s1 t2'],
    ['flexible mode has no TL0PICIDX', { payload: [0xb8, 0x01, 0x20] }, 'start keyframe independent t1'],
    ['cut layer ids', { payload: [0xa8, 0x01] }, ''],
    ['nothing', { payload: [], last: true }, 'end'],
  ],
  'audio/opus': [['any packet', { payload: [1, 2, 3] }, 'start end independent']],
};

describe('frame marks', () => {
  for (const [codec, rows] of Object.entries(cases)) {
    for (const [what, input, expected] of rows) {
      test(`${codec}: ${what} → ${expected || 'no mark'}`, () => assert.equal(words(marksOf(marker(codec), input)), expected));
    }
  }

  // Two templates of one decode target: base (required), temporal layer 1 (discardable). Bits after the 3 mandatory bytes:
  // 1 structure | 0000 | 000000 offset | 00000 targets | 01 next temporal | 11 no more | 11 required | 01 discardable
  const structure = [0b1000_0000, 0b0000_0000, 0b0111_1101];
  const sequence = [
    ['a keyframe brings the structure', [0x80, 0, 1, ...structure], 'start keyframe independent'],
    ['a later packet of it does not', [0x40, 0, 1], 'end'],
    ['a frame of template 1 is temporal layer 1 and discardable', [0xc1, 0, 2], 'start end discardable t1'],
  ] as const;
  test('video/AV1: the dependency descriptor tells, with the structure of the last keyframe', () => {
    const mark = marker('video/AV1');
    for (const [what, descriptor, expected] of sequence) {
      assert.equal(words(marksOf(mark, { payload: [0x10, 1], descriptor: [...descriptor] })), expected, what);
    }
  });

  test('video/AV1: without a usable descriptor the aggregation header tells', () => {
    const mark = marker('video/AV1');
    assert.equal(words(marksOf(mark, { payload: [0x18, 1], last: true })), 'end keyframe independent');
    assert.equal(words(marksOf(mark, { payload: [0x90, 1] })), '');
    assert.equal(
      words(marksOf(mark, { payload: [0x18, 1], descriptor: [0xc1, 0, 2] })),
      'keyframe independent',
      'structure never seen',
    );
    assert.equal(words(marksOf(mark, { payload: [0x10, 1], descriptor: [0x80, 0, 1, 0x80, 0] })), '', 'cut structure');
  });

  test('any payload gives marks of known flags, without an exception', () => {
    const all = FRAME_START | FRAME_END | KEYFRAME | INDEPENDENT | DISCARDABLE;
    const markers = ['video/H264', 'video/VP8', 'video/VP9', 'video/AV1'].map(marker);
    const bytes = fc.array(fc.nat(255), { maxLength: 40 });
    const descriptor = fc.option(fc.array(fc.nat(255), { minLength: 1, maxLength: 16 }), { nil: undefined });
    fc.assert(
      fc.property(bytes, descriptor, fc.boolean(), (payload, extension, last) => {
        for (const mark of markers) {
          const marks = marksOf(mark, { payload, last, descriptor: extension });
          assert.equal(marks & 0xff & ~all, 0);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
