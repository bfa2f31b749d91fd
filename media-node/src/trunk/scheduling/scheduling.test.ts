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
      for (const priority of [...CLASSES].reverse())
        queues.push({ priority, conversation: 1, payload: Buffer.from(`${priority}${i}`), deadlineMs: Infinity }, 0);
    assert.deepEqual(
      drain(queues, 0),
      CLASSES.flatMap((priority) => [`${priority}1`, `${priority}2`]),
    );
  });

  test('when full, give up what is overdue, then the oldest of the least urgent class, and never for something less urgent', () => {
    const queues = new SendQueues(40);
    const push = (priority: Priority, text: string, deadlineMs: number, nowMs: number) =>
      queues.push({ priority, conversation: 1, payload: Buffer.from(text), deadlineMs }, nowMs);
    push('video', 'video old.', Infinity, 0);
    push('video', 'video new.', Infinity, 0);
    push('audio', 'audio due.', 50, 0);
    push('audio', 'audio one.', Infinity, 0);
    push('videoBase', 'base one..', Infinity, 100);
    push('videoBase', 'base two..', Infinity, 100);
    push('probe', 'probe.....', Infinity, 100);
    assert.deepEqual(drain(queues, 100), ['audio one.', 'base one..', 'base two..', 'video new.']);
    assert.deepEqual(queues.counters.evicted, { audio: 0, videoBase: 0, video: 1, probe: 1 });
    assert.deepEqual(queues.counters.overdue, { audio: 1, videoBase: 0, video: 0, probe: 0 });
  });

  describe('of what builds on one another', () => {
    const chained = (queues: SendQueues, text: string, starts = false, deadlineMs = Infinity, nowMs = 0) =>
      queues.push({ priority: 'videoBase', conversation: 1, payload: Buffer.from(text), deadlineMs, chain: 7, starts }, nowMs);

    test('keep what waits and take no more until it begins anew, when there is no room', () => {
      const queues = new SendQueues(30);
      assert.ok(chained(queues, 'key 1.....', true));
      assert.ok(chained(queues, 'delta 2...'));
      assert.ok(chained(queues, 'delta 3...'));
      assert.ok(!chained(queues, 'delta 4...'));
      assert.deepEqual(drain(queues, 0), ['key 1.....', 'delta 2...', 'delta 3...']);
      assert.ok(!chained(queues, 'delta 5...'), 'though there is room again');
      assert.ok(chained(queues, 'key 6.....', true));
      assert.ok(chained(queues, 'delta 7...'));
      assert.deepEqual(drain(queues, 0), ['key 6.....', 'delta 7...']);
      assert.deepEqual([queues.counters.evicted.videoBase, queues.counters.broken.videoBase], [1, 1]);
    });

    test('drop all up to a later beginning, where there is one', () => {
      const queues = new SendQueues(40);
      chained(queues, 'key 1.....', true);
      chained(queues, 'delta 2...');
      chained(queues, 'key 3.....', true);
      chained(queues, 'delta 4...');
      assert.ok(chained(queues, 'delta 5...'));
      assert.deepEqual(drain(queues, 0), ['key 3.....', 'delta 4...', 'delta 5...']);
      assert.equal(queues.counters.evicted.videoBase, 2);
    });

    test('give way to audio altogether, and when overdue', () => {
      const queues = new SendQueues(30);
      chained(queues, 'key 1.....', true);
      chained(queues, 'delta 2...');
      chained(queues, 'delta 3...');
      assert.ok(queues.push({ priority: 'audio', conversation: 2, payload: Buffer.from('audio.....'), deadlineMs: Infinity }, 0));
      assert.deepEqual(drain(queues, 0), ['audio.....']);
      assert.ok(!chained(queues, 'delta 4...'));
      chained(queues, 'key 5.....', true, 100, 50);
      chained(queues, 'delta 6...', false, 150, 50);
      assert.deepEqual(drain(queues, 120), []);
      assert.equal(queues.queuedBytes, 0);
    });
  });

  test('never hold more than their bound, and account for every packet', () => {
    const push = fc.record({
      priority: fc.constantFrom(...CLASSES),
      bytes: fc.integer({ min: 1, max: 120 }),
      life: fc.integer({ min: 1, max: 30 }),
      chain: fc.constantFrom(undefined, 1, 2),
      starts: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(push, { maxLength: 200 }), (pushes) => {
        const queues = new SendQueues(1000);
        pushes.forEach(({ priority, bytes, life, chain, starts }, nowMs) => {
          queues.push(
            { priority, conversation: 1, payload: Buffer.alloc(bytes), deadlineMs: nowMs + life, chain, starts },
            nowMs,
          );
          assert.ok(queues.queuedBytes <= 1000);
        });
        const out = drain(queues, pushes.length).length;
        const { evicted, overdue, broken } = queues.counters;
        const dropped = CLASSES.reduce((sum, each) => sum + evicted[each] + overdue[each] + broken[each], 0);
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
