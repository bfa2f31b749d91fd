import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readRtcp, writePli, writeSenderReport } from './rtcp.ts';

const report = {
  ssrc: 0x1234,
  ntpSeconds: 3_900_000_000,
  ntpFraction: 0x8000_0000,
  rtpTimestamp: 90_000,
  packets: 10,
  octets: 1000,
};

function fir(...ssrcs: number[]): Buffer {
  const packet = Buffer.alloc(12 + ssrcs.length * 8);
  packet[0] = 0x84;
  packet[1] = 206;
  packet.writeUInt16BE(packet.length / 4 - 1, 2);
  ssrcs.forEach((ssrc, index) => packet.writeUInt32BE(ssrc, 12 + index * 8));
  return packet;
}

function receiverReport(): Buffer {
  const packet = Buffer.alloc(32);
  packet[0] = 0x81;
  packet[1] = 201;
  packet.writeUInt16BE(7, 2);
  packet.writeUInt32BE(5, 4);
  packet.writeUInt32BE(6, 8);
  packet[12] = 64;
  packet.writeIntBE(-2, 13, 3);
  packet.writeUInt32BE(70_000, 16);
  return packet;
}

describe('RTCP', () => {
  test('a compound packet is read whole, in order', () => {
    const seen: unknown[] = [];
    const whole = Buffer.concat([writeSenderReport(report), receiverReport(), writePli(1, 77), fir(88, 99)]);
    const complete = readRtcp(whole, {
      senderReport: (sr) => seen.push(['sr', sr.ssrc, sr.ntpSeconds, sr.ntpFraction, sr.rtpTimestamp]),
      receptionReport: (rr) => seen.push(['rr', rr.reporter, rr.ssrc, rr.fractionLost, rr.cumulativeLost, rr.highestSeq]),
      keyframeRequest: (ssrc) => seen.push(['keyframe', ssrc]),
    });
    assert.ok(complete);
    assert.deepEqual(seen, [
      ['sr', 0x1234, 3_900_000_000, 0x8000_0000, 90_000],
      ['rr', 5, 6, 0.25, -2, 70_000],
      ['keyframe', 77],
      ['keyframe', 88],
      ['keyframe', 99],
    ]);
  });

  test('what stands before a cut packet is still read', () => {
    const seen: number[] = [];
    const cut = Buffer.concat([writePli(1, 77), writePli(1, 78).subarray(0, 9)]);
    assert.equal(readRtcp(cut, { keyframeRequest: (ssrc) => seen.push(ssrc) }), false);
    assert.deepEqual(seen, [77]);
  });

  test('any bytes are read without an exception', () => {
    const types = fc.constantFrom(200, 201, 205, 206);
    const likely = fc.tuple(
      fc.integer({ min: 0x80, max: 0x9f }),
      types,
      fc.constant(0),
      fc.nat(8),
      fc.uint8Array({ maxLength: 60 }),
    );
    const input = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      likely.map(([a, b, c, d, tail]) => Uint8Array.from([a, b, c, d, ...tail])),
    );
    fc.assert(
      fc.property(input, (bytes) => {
        readRtcp(Buffer.from(bytes), { senderReport: () => {}, receptionReport: () => {}, keyframeRequest: () => {} });
      }),
      { numRuns: 3000 },
    );
  });
});
