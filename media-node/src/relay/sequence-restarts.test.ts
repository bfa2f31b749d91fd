import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { rtpPacket } from '@millrace/testkit/rtp';
import { SequenceRestarts } from './sequence-restarts.ts';

/** How a receiver judges sequence numbers (RFC 3550 appendix A.1, without probation), as mediasoup does. */
class Receiver {
  #highest: number | undefined;
  #confirming = -1;

  takes(seq: number): boolean {
    const ahead = (seq - (this.#highest ?? seq)) & 0xffff;
    const isRestart = ahead >= 3000 && ahead <= 0x1_0000 - 1500;
    if (isRestart && seq !== this.#confirming) {
      this.#confirming = (seq + 1) & 0xffff;
      return false;
    }
    if (this.#highest === undefined || isRestart || ahead < 3000) this.#highest = seq;
    this.#confirming = -1;
    return true;
  }
}

const packet = (seq: number, payload = Buffer.from([1])): Buffer =>
  rtpPacket({ payloadType: 96, ssrc: 7, seq: seq & 0xffff, timestamp: 0, payload });

/** The sequence numbers that pass two receivers in a row, of packets with and without a payload. */
function pass(numbers: readonly number[]): { real: number[]; empty: number } {
  const restarts = new SequenceRestarts();
  const [receiving, sending] = [new Receiver(), new Receiver()];
  const real: number[] = [];
  let empty = 0;
  for (const seq of numbers) {
    const own = packet(seq);
    for (const each of [...restarts.before(own), own]) {
      const number = each.readUInt16BE(2);
      if (!receiving.takes(number) || !sending.takes(number)) continue;
      if (each === own) real.push(number);
      else empty += 1;
    }
  }
  return { real, empty };
}

describe('packets before a restart', () => {
  test('let every packet through two receivers, and none of their own', () => {
    const jump = fc.oneof(
      { weight: 6, arbitrary: fc.constant(1) },
      fc.integer({ min: 2, max: 2999 }),
      fc.integer({ min: 3000, max: 65_536 - 1500 }),
      fc.constantFrom(3000, 3001),
      fc.integer({ min: -1499, max: -1 }),
    );
    fc.assert(
      fc.property(fc.nat(65_535), fc.array(jump, { maxLength: 200 }), (first, jumps) => {
        const numbers = jumps.reduce((all, step) => [...all, (all.at(-1)! + step) & 0xffff], [first]);
        const { real, empty } = pass(numbers);
        assert.deepEqual(real, numbers);
        // Before the shortest jumps they are themselves no jump.
        const shortest = jumps.filter((step) => step === 3000 || step === 3001).length;
        assert.ok(empty <= 2 * shortest, `${empty} without a payload`);
      }),
    );
  });

  test('without them, a restart loses two packets', () => {
    const [receiving, sending] = [new Receiver(), new Receiver()];
    const passed = [1, 2, 20_000, 20_001, 20_002].filter((seq) => receiving.takes(seq) && sending.takes(seq));
    assert.deepEqual(passed, [1, 2, 20_002]);
  });

  test('of a first packet reordered with the second lose neither', () => {
    assert.deepEqual(pass([1, 2, 20_001, 20_000, 20_002]).real, [1, 2, 20_001, 20_000, 20_002]);
  });

  test('are none for RTCP, what is no RTP, and the first packet of an SSRC', () => {
    const restarts = new SequenceRestarts();
    const report = Buffer.alloc(28);
    report.set([0x80, 200, 0, 6]);
    for (const first of [packet(1), report, Buffer.alloc(0), Buffer.alloc(5), Buffer.alloc(40, 0xff)])
      assert.deepEqual(restarts.before(first), []);
    assert.equal(restarts.before(packet(30_000)).length, 2);
  });

  test('of whatever arrives, memory stays bounded', () => {
    const restarts = new SequenceRestarts();
    const bytes = fc.uint8Array({ maxLength: 60 });
    fc.assert(fc.property(bytes, (random) => restarts.before(Buffer.from(random)).length <= 2));
    for (let ssrc = 0; ssrc < 1000; ssrc++)
      assert.deepEqual(restarts.before(rtpPacket({ payloadType: 96, ssrc, seq: 1, timestamp: 0, payload: Buffer.alloc(1) })), []);
  });
});
