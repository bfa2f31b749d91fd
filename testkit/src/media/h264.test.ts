import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { packetize, splitAccessUnits } from './h264.ts';

const nal = (type: number, length: number) =>
  Buffer.from([0x60 | type, ...Array.from({ length: length - 1 }, (_, i) => (i % 250) + 1)]);
const annexB = (...nals: Buffer[]) => Buffer.concat(nals.flatMap((each) => [Buffer.from([0, 0, 0, 1]), each]));
const [delimiter, sps, pps, sei, idr, slice] = [nal(9, 2), nal(7, 9), nal(8, 4), nal(6, 20), nal(5, 40), nal(1, 12)];

describe('H.264', () => {
  test('a stream is split at its access unit delimiters, and SEI is removed', () => {
    const units = splitAccessUnits(annexB(delimiter, sps, pps, sei, idr, delimiter, slice));
    assert.deepEqual(units, [[sps, pps, idr], [slice]]);
  });

  test('parameter sets are sent first in one packet, so that a keyframe starts with the SPS', () => {
    const [first, second, ...more] = packetize([sps, pps, idr], 100);
    assert.equal(first![0]! & 0x1f, 24);
    assert.equal(first!.readUInt16BE(1), sps.length);
    assert.deepEqual(first!.subarray(3, 3 + sps.length), sps);
    assert.deepEqual([second, more], [idr, []]);
  });

  test('a NAL unit that exceeds a packet is fragmented, and the fragments reassemble to it', () => {
    const fragments = packetize([idr], 16);
    assert.ok(fragments.every((each) => each.length <= 16));
    assert.deepEqual(
      fragments.map((each) => each[1]! & 0xc0),
      [0x80, 0, 0x40],
    );
    const head = (fragments[0]![0]! & 0x60) | (fragments[0]![1]! & 0x1f);
    assert.deepEqual(Buffer.concat([Buffer.from([head]), ...fragments.map((each) => each.subarray(2))]), idr);
  });
});
