import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FakeClock } from '@millrace/testkit';
import { WorkQueue } from './work-queue.ts';

type Handler = (key: string) => Promise<{ requeueAfterMs?: number } | void>;

function start(handle: Handler, options: { concurrency?: number } = {}) {
  const clock = new FakeClock();
  const queue = new WorkQueue({ name: 'test', clock, random: () => 1, backoff: { baseMs: 100, maxMs: 1_000 } });
  const stop = new AbortController();
  const errors: string[] = [];
  const onError = (key: string, error: unknown, failures: number): void => {
    errors.push(`${key}: ${(error as Error).message} (${failures})`);
  };
  const run = (): Promise<void> => queue.run(handle, { concurrency: options.concurrency ?? 1, signal: stop.signal, onError });
  return { clock, queue, stop, errors, run };
}

describe('work queue', () => {
  test('a key added many times before it is handled is handled once', async () => {
    const handled: string[] = [];
    const { clock, queue, run } = start(async (key) => void handled.push(key));
    for (const key of ['a', 'b', 'a', 'a']) queue.add(key);
    void run();
    await clock.settle();
    assert.deepEqual(handled, ['a', 'b']);
  });

  test('a key added while it is handled is handled once more, not at the same time', async () => {
    const gates: (() => void)[] = [];
    const { clock, queue, run } = start(() => new Promise((resolve) => gates.push(resolve)), { concurrency: 5 });
    void run();
    queue.add('a');
    queue.add('a');
    queue.add('a');
    await clock.settle();
    assert.equal(gates.length, 1);
    gates[0]!();
    await clock.settle();
    assert.equal(gates.length, 2);
    gates[1]!();
    await clock.settle(10_000);
    assert.equal(gates.length, 2);
  });

  test('no more keys than allowed are handled at the same time', async () => {
    const gates: (() => void)[] = [];
    const { clock, queue, run } = start(() => new Promise((resolve) => gates.push(resolve)), { concurrency: 2 });
    for (const key of ['a', 'b', 'c']) queue.add(key);
    void run();
    assert.deepEqual([gates.length, queue.depth], [2, 1]);
    gates[0]!();
    await clock.settle();
    assert.deepEqual([gates.length, queue.depth], [3, 0]);
  });

  test('a failed key is retried with exponential back-off, which a success resets', async () => {
    const at: number[] = [];
    let failing = true;
    const { clock, queue, run, errors } = start(async () => {
      at.push(clock.now());
      if (failing) throw new Error('no');
    });
    void run();
    queue.add('a');
    await clock.settle(3_600);
    assert.deepEqual(at, [0, 100, 300, 700, 1_500, 2_500, 3_500]);
    assert.equal(errors[2], 'a: no (3)');
    failing = false;
    await clock.settle(1_000);
    failing = true;
    at.length = 0;
    queue.add('a');
    await clock.settle(150);
    assert.equal(at[1]! - at[0]!, 100);
  });

  test('of several delays the earliest wins', async () => {
    const at: number[] = [];
    const { clock, queue, run } = start(async () => void at.push(clock.now()));
    void run();
    queue.addAfter('a', 500);
    queue.addAfter('a', 200);
    queue.addAfter('a', 900);
    await clock.settle(2_000);
    assert.deepEqual(at, [200]);
    queue.addAfter('a', 500);
    queue.add('a');
    await clock.settle(2_000);
    assert.deepEqual(at, [200, 2_000]);
    assert.equal(clock.pendingTimers, 0);
  });

  test('a handler may request to be called again', async () => {
    const at: number[] = [];
    const { clock, queue, run } = start(async () => {
      at.push(clock.now());
      return at.length < 3 ? { requeueAfterMs: 50 } : undefined;
    });
    void run();
    queue.add('a');
    await clock.settle(1_000);
    assert.deepEqual(at, [0, 50, 100]);
  });

  test('a stop waits for running handlers, starts no further key and leaves no timer', async () => {
    const gates: (() => void)[] = [];
    const { clock, queue, run, stop } = start(() => new Promise((resolve) => gates.push(resolve)));
    let stopped = false;
    const running = run().then(() => (stopped = true));
    queue.add('a');
    queue.add('b');
    queue.addAfter('c', 100);
    stop.abort();
    queue.add('d');
    await clock.settle(1_000);
    assert.deepEqual([gates.length, stopped], [1, false]);
    gates[0]!();
    await running;
    await clock.settle(1_000);
    assert.deepEqual([gates.length, queue.depth, clock.pendingTimers], [1, 0, 0]);
  });

  test('each key is handled after its last addition and never twice at once, whatever is added, fails or takes time', async () => {
    const action = fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd'),
      delayMs: fc.constantFrom(0, 0, 0, 30, 300),
      takesMs: fc.integer({ min: 0, max: 80 }),
      fails: fc.boolean(),
      pauseMs: fc.integer({ min: 0, max: 60 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 30 }), fc.integer({ min: 1, max: 3 }), async (actions, concurrency) => {
        const active = new Set<string>();
        const lastAdded = new Map<string, number>();
        const lastStarted = new Map<string, number>();
        const wrong: string[] = [];
        const { clock, queue, run, stop } = start(
          async (key) => {
            if (active.has(key) || active.size >= concurrency) wrong.push(`${key} beside ${[...active].join()}`);
            active.add(key);
            lastStarted.set(key, step);
            const { takesMs, fails } = actions.find((one) => one.key === key) ?? { takesMs: 0, fails: false };
            await new Promise<void>((resolve) => void clock.setTimeout(resolve, takesMs));
            active.delete(key);
            if (fails && clock.now() < 5_000) throw new Error('fails');
          },
          { concurrency },
        );
        let step = 0;
        const running = run();
        for (const { key, delayMs, pauseMs } of actions) {
          step++;
          queue.addAfter(key, delayMs);
          lastAdded.set(key, step);
          await clock.settle(pauseMs);
        }
        step++;
        await clock.settle(20_000);
        for (const [key, added] of lastAdded)
          assert.ok(lastStarted.get(key)! >= added, `${key} was not handled after its last addition`);
        assert.deepEqual([queue.depth, queue.delayed, clock.pendingTimers], [0, 0, 0]);
        stop.abort();
        await running;
        assert.deepEqual(wrong, []);
      }),
      { numRuns: 60 },
    );
  });
});
