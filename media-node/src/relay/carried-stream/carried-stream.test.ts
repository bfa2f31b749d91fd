import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { KEYFRAME } from '@millrace/api/trunk';
import { mediaFrame } from '../media-frame.fixture.ts';
import { CarriedStream, VIDEO, type FrameSink } from './carried-stream.ts';
import { KEEP_MS, MAX_RING_BYTES, MAX_RING_SPAN, PacketRing } from './packet-ring.ts';

function collector() {
  const seen: number[] = [];
  const epochs: number[] = [];
  const sink: FrameSink = {
    onFrame: (_frame, _track, _layer, seq) => seen.push(seq),
    onSenderReport: () => {},
    onEpoch: (epoch) => epochs.push(epoch),
  };
  return { seen, epochs, sink };
}

describe('a carried stream', () => {
  test('hands on each packet once, at once and in any order', () => {
    const stream = new CarriedStream('live/demo');
    const { seen, sink } = collector();
    stream.addSink(sink);
    for (const seq of [5, 7, 6, 7, 5, 8]) stream.push(mediaFrame({ seq }), VIDEO, 0);
    assert.deepEqual(seen, [5, 7, 6, 8]);
    assert.equal(stream.counters.duplicates, 2);
  });

  test('keeps tracks and layers apart', () => {
    const stream = new CarriedStream('live/demo');
    const { seen, sink } = collector();
    stream.addSink(sink);
    stream.push(mediaFrame({ seq: 5, layer: 0 }), VIDEO, 0);
    stream.push(mediaFrame({ seq: 5, layer: 1 }), VIDEO, 0);
    stream.push(mediaFrame({ seq: 5, track: 1 }), VIDEO, 0);
    assert.deepEqual(seen, [5, 5, 5]);
  });

  test('goes on in a later epoch from any number, and drops what an earlier one still sends', () => {
    const stream = new CarriedStream('live/demo');
    const { seen, epochs, sink } = collector();
    stream.addSink(sink);
    stream.push(mediaFrame({ epoch: 1, seq: 500 }), VIDEO, 0);
    stream.push(mediaFrame({ epoch: 2, seq: 3 }), VIDEO, 1);
    stream.push(mediaFrame({ epoch: 1, seq: 501 }), VIDEO, 2);
    assert.deepEqual(
      [seen, epochs],
      [
        [500, 3],
        [1, 2],
      ],
    );
    assert.deepEqual(
      stream.held().map(({ epoch, seq }) => [epoch, seq]),
      [[2, 3]],
    );
  });

  test('says the last number before the first hole, and retransmissions from any number', () => {
    const stream = new CarriedStream('live/demo');
    for (const seq of [5, 6, 8, 9]) stream.push(mediaFrame({ seq }), VIDEO, 0);
    assert.equal(stream.held()[0]!.seq, 6);
    const ring = stream.ring(0, 0)!;
    assert.deepEqual([ring.nextHeld(7), ring.nextHeld(9), ring.nextHeld(10)], [8, 9, -1]);
  });

  test('takes packets from before its first one as long as it has let none go', () => {
    const ring = new PacketRing(VIDEO);
    ring.insert(1000, mediaFrame({ seq: 1000 }), false, 0);
    assert.equal(ring.insert(400, mediaFrame({ seq: 400 }), false, 1), 'new');
    assert.equal(ring.insert(1001, mediaFrame({ seq: 1001 }), false, KEEP_MS + 10), 'new');
    assert.equal(ring.insert(401, mediaFrame({ seq: 401 }), false, KEEP_MS + 10), 'stale');
  });

  test('keeps at least a second of what it carries, and not much more', () => {
    const ring = new PacketRing(VIDEO);
    for (let ms = 0; ms < 10_000; ms++) ring.insert(ms, mediaFrame({ seq: ms }), ms % 1000 === 0, ms);
    assert.ok(ring.get(9_999 - 1_000) !== undefined);
    assert.ok(ring.highest - ring.lowest <= KEEP_MS + 1);
    assert.equal(ring.keyframe, 9_000);
  });

  test('is bounded in bytes and in numbers', () => {
    const ring = new PacketRing(VIDEO);
    const frame = Buffer.alloc(2000);
    for (let seq = 0; seq < 40_000; seq++) ring.insert(seq, frame, false, 0);
    assert.ok(ring.bytes <= MAX_RING_BYTES && ring.highest - ring.lowest <= MAX_RING_SPAN);
  });

  test('begins anew after a jump that no loss explains', () => {
    const ring = new PacketRing(VIDEO);
    ring.insert(10, mediaFrame({ seq: 10 }), true, 0);
    assert.equal(ring.insert(10 + MAX_RING_SPAN * 3, mediaFrame({ seq: 1 }), false, 1), 'new');
    assert.deepEqual([ring.lowest, ring.keyframe, ring.get(10)], [10 + MAX_RING_SPAN * 3, -1, undefined]);
  });

  test('agrees with a plain set about what is new, whatever the order', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: -300, max: 600 }), fc.nat(3)), { maxLength: 300 });
    fc.assert(
      fc.property(steps, (moves) => {
        const ring = new PacketRing(VIDEO);
        const model = new Set<number>();
        let seq = 100_000;
        for (const [step, wait] of moves) {
          seq += step;
          const inserted = ring.insert(seq, mediaFrame({ seq, marks: KEYFRAME }), true, wait);
          if (inserted === 'new') assert.ok(!model.has(seq));
          if (inserted === 'duplicate') assert.ok(model.has(seq));
          assert.notEqual(inserted, model.has(seq) ? 'new' : 'duplicate');
          if (inserted === 'new') model.add(seq);
        }
        for (let at = ring.lowest; at <= ring.highest; at++) assert.equal(ring.get(at) !== undefined, model.has(at));
      }),
      { numRuns: 300 },
    );
  });
});
