import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { accountFrames, findHoles, type ReceivedPacket } from './frame-ledger.ts';

const FRAME = 3000;

/** Frames of three packets, one every 33 ms. Sequence numbers and timestamps wrap around. */
function stream(frames: number): ReceivedPacket[] {
  return Array.from({ length: frames * 3 }, (_, i) => ({
    sequence: (65_530 + i) & 0xffff,
    timestamp: (0xffffd000 + Math.floor(i / 3) * FRAME) >>> 0,
    marker: i % 3 === 2,
    atMs: Math.floor(i / 3) * 33,
  }));
}

describe('frame accounting', () => {
  test('without loss nothing is missing, and the gap is the frame interval', () => {
    assert.deepEqual(accountFrames(stream(20), FRAME), {
      complete: 19,
      missingFrames: 0,
      missingPackets: 0,
      longestGapMs: 33,
    });
  });

  test('a lost packet affects only its frame', () => {
    const packets = stream(20).filter((_, i) => i !== 31);
    const { complete, missingFrames, missingPackets } = accountFrames(packets, FRAME);
    assert.deepEqual([complete, missingFrames, missingPackets], [18, 1, 1]);
  });

  test('lost frames are counted by their timestamps', () => {
    const packets = stream(20).filter((_, i) => i < 15 || i >= 30);
    const { complete, missingFrames, missingPackets, longestGapMs } = accountFrames(packets, FRAME);
    // The first packet after the gap does not follow its predecessor, so its frame counts as incomplete.
    assert.deepEqual([complete, missingFrames, missingPackets], [13, 6, 15]);
    assert.equal(longestGapMs, 7 * 33);
    assert.deepEqual(findHoles(packets, FRAME), [{ atMs: 10 * 33, packets: 15, frames: 5 }]);
    assert.deepEqual(findHoles(stream(20), FRAME), []);
  });

  test('a late packet delays its frame and the following ones; none is missing', () => {
    const packets = stream(20).map((packet, i) => (i === 30 ? { ...packet, atMs: packet.atMs + 200 } : packet));
    const { missingFrames, longestGapMs } = accountFrames(
      [...packets].sort((a, b) => a.atMs - b.atMs),
      FRAME,
    );
    assert.equal(missingFrames, 0);
    assert.equal(longestGapMs, 233);
  });

  test('reordering and duplicates do not change the counts', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(179), { minLength: 1, maxLength: 40 }), (swaps) => {
        const packets = stream(60);
        for (const at of swaps) packets.splice(Math.min(at + 5, packets.length), 0, packets[at]!);
        const { complete, missingFrames, missingPackets } = accountFrames(packets, FRAME);
        assert.deepEqual([complete, missingFrames, missingPackets], [59, 0, 0]);
      }),
    );
  });

  test('without a complete frame all counts are zero', () => {
    assert.equal(accountFrames([], FRAME).complete, 0);
    assert.equal(accountFrames(stream(1), FRAME).complete, 0);
  });
});
