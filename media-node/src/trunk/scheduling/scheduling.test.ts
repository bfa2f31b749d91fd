import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Pacer } from './pacer.ts';
import { type Priority, SendQueues } from './queues.ts';
import { TimerHeap, type Timed } from './timer-heap.ts';

const CLASSES: Priority[] = ['audio', 'videoBase', 'video', 'probe'];

function drain(queues: SendQueues, nowMs: number): string[] {
  const order: string[] = [];
  for (let rank = queues.firstClass(nowMs); rank >= 0; rank = queues.firstClass(nowMs)) {
    order.push(queues.peek(rank).firstPayload.toString());
    queues.shift(rank);
  }
  return order;
}

describe('Send queues', () => {
  test('give out the most urgent class first, and each class in its order', () => {
    const queues = new SendQueues(10_000);
    for (const i of [1, 2])
      for (const priority of [...CLASSES].reverse()) queues.push(priority, 1, Buffer.from(`${priority}${i}`), Infinity, 0);
    assert.deepEqual(
      drain(queues, 0),
      CLASSES.flatMap((priority) => [`${priority}1`, `${priority}2`]),
    );
  });

  test('when full, give up what is overdue, then the oldest of the least urgent class, and never for something less urgent', () => {
    const queues = new SendQueues(40);
    queues.push('video', 1, Buffer.from('video old.'), Infinity, 0);
    queues.push('video', 1, Buffer.from('video new.'), Infinity, 0);
    queues.push('audio', 1, Buffer.from('audio due.'), 50, 0);
    queues.push('audio', 1, Buffer.from('audio one.'), Infinity, 0);
    queues.push('videoBase', 1, Buffer.from('base one..'), Infinity, 100);
    queues.push('videoBase', 1, Buffer.from('base two..'), Infinity, 100);
    queues.push('probe', 1, Buffer.from('probe.....'), Infinity, 100);
    assert.deepEqual(drain(queues, 100), ['audio one.', 'base one..', 'base two..', 'video new.']);
    assert.deepEqual(queues.counters.crowdedOut, { audio: 0, videoBase: 0, video: 1, probe: 1 });
    assert.deepEqual(queues.counters.overdue, { audio: 1, videoBase: 0, video: 0, probe: 0 });
  });

  test('never hold more than their bound, and account for every packet', () => {
    const push = fc.record({
      priority: fc.constantFrom(...CLASSES),
      bytes: fc.integer({ min: 1, max: 120 }),
      life: fc.integer({ min: 1, max: 30 }),
    });
    fc.assert(
      fc.property(fc.array(push, { maxLength: 200 }), (pushes) => {
        const queues = new SendQueues(1000);
        pushes.forEach(({ priority, bytes, life }, nowMs) => {
          queues.push(priority, 1, Buffer.alloc(bytes), nowMs + life, nowMs);
          assert.ok(queues.queuedBytes <= 1000);
        });
        const out = drain(queues, pushes.length).length;
        const { crowdedOut, overdue } = queues.counters;
        const dropped = CLASSES.reduce((sum, priority) => sum + crowdedOut[priority] + overdue[priority], 0);
        assert.equal(out + dropped, pushes.length);
        assert.equal(queues.queuedBytes, 0);
      }),
    );
  });
});

describe('The pacer', () => {
  test('keeps to its rate after the first burst', () => {
    const pacer = new Pacer(8, 0);
    let sent = 0;
    for (let nowMs = 0; nowMs <= 10_000; nowMs++) {
      while (pacer.readyInMs(nowMs) === 0) {
        pacer.spend(1200);
        sent += 1200;
      }
    }
    assert.ok(Math.abs(sent - (10_000_000 + 32 * 1024)) < 2400, `${sent}`);
  });
});

describe('The timer heap', () => {
  test('always has the earliest first, through any changes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: 19 }), fc.option(fc.nat({ max: 1000 }), { nil: Infinity })), { maxLength: 200 }),
        (changes) => {
          const heap = new TimerHeap<Timed>();
          const items = Array.from({ length: 20 }, (): Timed => ({ dueMs: Infinity, heapIndex: -1 }));
          for (const [index, dueMs] of changes) {
            heap.set(items[index]!, dueMs);
            assert.equal(heap.first?.dueMs ?? Infinity, Math.min(...items.map((item) => item.dueMs)));
          }
        },
      ),
    );
  });
});
