import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, test } from 'node:test';
import { createLogger } from '@millrace/service';
import { FakeClock } from '@millrace/testkit';
import type { WebSocket } from 'ws';
import { AgentConnection } from './connection.ts';
import { PodBudgets, type MessageBudget } from './message-budget.ts';

const MIB = 1024 * 1024;

/** As much of a WebSocket as a connection uses to read. */
class TestSocket extends EventEmitter {
  isPaused = false;
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
}

function connect(budget: MessageBudget, clock: FakeClock): { say: () => void; socket: TestSocket } {
  const socket = new TestSocket();
  const ignore = (): void => undefined;
  new AgentConnection({
    socket: socket as unknown as WebSocket,
    clock,
    logger: createLogger({ service: 'test', level: 'silent' }),
    heartbeatMs: 5000,
    budget,
    onMessage: ignore,
    onUnreadable: ignore,
    onSpoilt: ignore,
    onClose: ignore,
  });
  const message = Buffer.from(JSON.stringify({ type: 'ack', version: 1 }));
  return { socket, say: () => void socket.emit('message', message, false) };
}

describe('the budget of a pod', () => {
  test('is one, however many connections it has', () => {
    const clock = new FakeClock();
    const budgets = new PodBudgets(clock);
    const [first, second, other] = ['a', 'a', 'b'].map((pod) => connect(budgets.enter(pod).budget, clock));
    for (let n = 0; n < 999; n++) first!.say();
    assert.equal(first!.socket.isPaused, false);
    second!.say();
    other!.say();
    assert.deepEqual([second!.socket.isPaused, other!.socket.isPaused], [true, false]);
    first!.say();
    assert.equal(first!.socket.isPaused, true);
    clock.advance(2000);
    assert.deepEqual([first!.socket.isPaused, second!.socket.isPaused], [false, false]);
  });

  test('counts bytes: beyond the burst, 6.25 MiB a second', () => {
    const { budget } = new PodBudgets(new FakeClock()).enter('a');
    for (let n = 0; n < 30; n++) assert.equal(budget.spend(MIB), 0, `${n} MiB`);
    assert.ok(budget.spend(8 * MIB) > 1000);
  });

  test('is not refilled by a new connection, and forgotten once it is full', () => {
    const clock = new FakeClock();
    const budgets = new PodBudgets(clock);
    const first = budgets.enter('a');
    while (first.budget.spend(MIB) === 0);
    first.leave();
    const again = budgets.enter('a');
    assert.ok(again.budget.spend(0) > 0);
    again.leave();
    budgets.enter('b').leave();
    assert.equal(budgets.size, 2);
    clock.advance(60_000);
    budgets.enter('c');
    assert.equal(budgets.size, 1);
  });
});
