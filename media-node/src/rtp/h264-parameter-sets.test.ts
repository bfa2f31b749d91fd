import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { nalParts } from './h264-nal-units.ts';
import { H264ParameterSets } from './h264-parameter-sets.ts';
import { idr, PPS, slice, SPROP, SPS } from '@millrace/testkit/rtp';

const stapA = (...nals: Buffer[]) =>
  Buffer.concat([Buffer.from([0x78]), ...nals.flatMap((nal) => [Buffer.from([nal.length >> 8, nal.length & 0xff]), nal])]);
function fuA(nal: Buffer, size: number): Buffer[] {
  const payloads: Buffer[] = [];
  for (let at = 1; at < nal.length; at += size) {
    const flags = (at === 1 ? 0x80 : 0) | (at + size >= nal.length ? 0x40 : 0);
    const head = Buffer.from([(nal[0]! & 0xe0) | 28, flags | (nal[0]! & 0x1f)]);
    payloads.push(Buffer.concat([head, nal.subarray(at, at + size)]));
  }
  return payloads;
}
/** A PPS of this id for SPS 0: ue(v) codes, then something. */
const pps = (id: number) => Buffer.concat([Buffer.from([0x68]), bits(`${ue(id)}1110001111`)]);
const idrWith = (id: number) => Buffer.concat([Buffer.from([0x65]), bits(`1${ue(7)}${ue(id)}`), Buffer.alloc(20, 0x21)]);
const ue = (value: number) => (value + 1).toString(2).padStart((value + 1).toString(2).length * 2 - 1, '0');
const bits = (text: string) =>
  Buffer.from(
    text
      .padEnd(Math.ceil(text.length / 8) * 8, '1')
      .match(/.{8}/g)!
      .map((byte) => Number.parseInt(byte, 2)),
  );

/** Arrives and is forwarded at once; the timestamp is the picture's number. */
function play(sets: H264ParameterSets, pictures: Buffer[][]): Buffer[][] {
  let seq = 0;
  return pictures.flatMap((packets, timestamp) =>
    packets.map((packet) => {
      sets.onArrival(packet, 0, packet.length, seq++ & 0xffff);
      return sets.missingBefore(packet, 0, packet.length, timestamp);
    }),
  );
}
const types = (payload: Buffer) => nalParts(payload, 0, payload.length).map(({ type }) => type);

describe('parameter sets of H.264', () => {
  test('of the SDP go before an IDR picture that comes without, once a picture', () => {
    const sets = new H264ParameterSets({ packetizationMode: 1, sprop: SPROP });
    const second = Buffer.concat([Buffer.from([0x65, 0x20, 0x88]), Buffer.alloc(20)]);
    const missing = play(sets, [[idr(), second], [slice()], [stapA(Buffer.from([0x06, 1, 1]), idr())]]);
    assert.deepEqual(
      missing.map((payloads) => payloads.map(types)),
      [[[7, 8]], [], [], [[7, 8]]],
    );
    assert.deepEqual(missing[0], [stapA(SPS, PPS)]);
  });

  test('that came with the picture are not sent twice, whichever way they came', () => {
    for (const way of [[SPS, PPS], [stapA(SPS, PPS)], [...fuA(SPS, 7), ...fuA(PPS, 3)], [PPS, SPS]]) {
      const sets = new H264ParameterSets({ packetizationMode: 1 });
      const missing = play(sets, [[...way, idr()], [slice()], [...fuA(idr(), 9)]]);
      const first = missing.slice(0, way.length + 1);
      assert.ok(first.every((payloads) => payloads.length === 0));
      assert.deepEqual(missing[way.length + 2], [stapA(...[SPS, PPS])]);
    }
  });

  test('are completed when only an SPS comes with each keyframe', () => {
    const sets = new H264ParameterSets({ packetizationMode: 1, sprop: SPROP });
    assert.deepEqual(play(sets, [[SPS, idr()]]), [[], [stapA(SPS, PPS)]]);
  });

  test('go as single NAL units where the publisher announced packetization mode 0', () => {
    const sets = new H264ParameterSets({ packetizationMode: 0, sprop: SPROP });
    assert.deepEqual(play(sets, [[idr()]]), [[SPS, PPS]]);
  });

  test('go before a picture with a recovery point, of open GOP or intra refresh', () => {
    const recoveryPoint = Buffer.from([0x06, 6, 1, 0xc4, 0x80]);
    const bufferingFirst = Buffer.from([0x06, 0, 2, 0xaa, 0xbb, 6, 1, 0xc4, 0x80]);
    const userData = Buffer.from([0x06, 5, 17, ...Array<number>(17).fill(6), 0x80]);
    const sets = new H264ParameterSets({ packetizationMode: 1, sprop: SPROP });
    assert.equal(sets.onArrival(recoveryPoint, 0, recoveryPoint.length, 1), true, 'the gate may open');
    assert.equal(sets.onArrival(userData, 0, userData.length, 2), false);
    const missing = play(sets, [
      [recoveryPoint, slice()],
      [userData, slice()],
      [stapA(bufferingFirst, slice())],
      [stapA(SPS, PPS), recoveryPoint, slice()],
      [recoveryPoint, idr()],
    ]);
    assert.deepEqual(
      missing.map((payloads) => payloads.map(types)),
      [[[7, 8]], [], [], [], [[7, 8]], [], [], [], [[7, 8]], []],
    );
    const unknown = new H264ParameterSets({ packetizationMode: 1 });
    assert.equal(unknown.onArrival(recoveryPoint, 0, recoveryPoint.length, 1), false);
    assert.deepEqual(play(unknown, [[recoveryPoint, slice()]]), [[], []]);
  });

  test('that change in the middle replace those of the SDP', () => {
    const sets = new H264ParameterSets({ packetizationMode: 1, sprop: SPROP });
    const wider = Buffer.concat([SPS, Buffer.from([1])]);
    assert.deepEqual(play(sets, [[wider, PPS, idr()], [idr()]])[3], [stapA(wider, PPS)]);
  });

  test('are known by the ids that slices refer to', () => {
    const sets = new H264ParameterSets({ packetizationMode: 1 });
    play(sets, [[SPS, pps(0), pps(3), idrWith(3)]]);
    const arrival = (payload: Buffer) => sets.onArrival(payload, 0, payload.length, 9);
    assert.deepEqual([arrival(idrWith(0)), arrival(idrWith(3)), arrival(idrWith(2))], [true, true, false]);
    assert.deepEqual(types(play(sets, [[slice()], [idrWith(3)]])[1]![0]!), [7, 8, 8]);
  });

  test('keep to a packet’s size: large ones are fragmented', () => {
    const large = Buffer.concat([SPS, Buffer.alloc(3000, 0x11)]);
    const sets = new H264ParameterSets({ packetizationMode: 1 });
    const missing = play(sets, [[...fuA(large, 1000), PPS, idr()], [idr()]]).at(-1)!;
    assert.ok(missing.every(({ length }) => length <= 1100));
    const parts = missing.flatMap((payload) =>
      nalParts(payload, 0, payload.length).map((part) => ({ part, bytes: payload.subarray(part.start, part.end) })),
    );
    const sps = parts.filter(({ part }) => part.type === 7).map(({ bytes }) => bytes);
    assert.deepEqual(Buffer.concat([Buffer.from([0x67]), ...sps]), large);
    assert.deepEqual(types(missing.at(-1)!), [8]);
  });

  test('a picture whose sets were never seen is left alone', () => {
    const sets = new H264ParameterSets({ packetizationMode: 1 });
    assert.deepEqual(play(sets, [[SPS, idr()]]), [[], []]);
    assert.equal(sets.onArrival(idr(), 0, idr().length, 0), false);
  });

  test('are read from any bytes without harm', () => {
    const payload = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc
        .tuple(fc.constantFrom(0x78, 0x7c, 0x67, 0x68, 0x65), fc.uint8Array({ maxLength: 40 }))
        .map(([head, rest]) => [head, ...rest]),
    );
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 60 }), fc.string({ maxLength: 80 }), (payloads, sprop) => {
        const sets = new H264ParameterSets({ packetizationMode: 1, sprop });
        const missing = play(
          sets,
          payloads.map((bytes) => [Buffer.from(bytes)]),
        );
        for (const inserted of missing.flat()) assert.ok(inserted.length <= 1100);
      }),
      { numRuns: 500 },
    );
  });
});
