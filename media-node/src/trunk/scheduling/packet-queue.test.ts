import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PacketQueue } from './packet-queue.ts';

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ push: fc.integer({ min: 1, max: 90 }), chain: fc.integer({ min: -1, max: 2 }), starts: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ shift: fc.integer({ min: 1, max: 90 }) }) },
  { weight: 1, arbitrary: fc.record({ remove: fc.integer({ min: -1, max: 2 }), before: fc.nat(200) }) },
);

test('a queue behaves as a list would, however it wraps, grows and loses chains from its middle', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const queue = new PacketQueue();
      let list: { id: number; chain: number; starts: boolean; bytes: number }[] = [];
      let id = 0;
      for (const each of steps) {
        if ('push' in each) {
          for (let i = 0; i < each.push; i++, id++) {
            const packet = { id, chain: each.chain, starts: each.starts, bytes: 1 + (id % 7) };
            queue.push(id, Buffer.alloc(packet.bytes), id + 0.5, packet.chain, packet.starts);
            list.push(packet);
          }
        } else if ('shift' in each) {
          for (let i = 0; i < each.shift && list.length > 0; i++) {
            const first = list.shift()!;
            assert.equal(queue.firstConversation, first.id);
            assert.equal(queue.firstDeadlineMs, first.id + 0.5);
            assert.equal(queue.firstChain, first.chain);
            assert.equal(queue.firstPayload.length, first.bytes);
            queue.shift();
          }
        } else {
          const kept = list.filter(({ chain }, at) => at >= each.before || chain !== each.remove);
          assert.equal(queue.remove(each.remove, Math.min(each.before, list.length)), list.length - kept.length);
          list = kept;
        }
        assert.equal(queue.length, list.length);
        assert.equal(
          queue.bytes,
          list.reduce((sum, { bytes }) => sum + bytes, 0),
        );
        for (const chain of [-1, 0, 1, 2])
          assert.equal(
            queue.lastStart(chain),
            list.findLastIndex((packet) => packet.starts && packet.chain === chain),
          );
      }
    }),
    { numRuns: 300 },
  );
});
