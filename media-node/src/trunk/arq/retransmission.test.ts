import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { retransmissionCopies } from '../association.ts';
import { RttEstimator } from './rtt.ts';
import { SendConversation } from './sender.ts';

const OUT = Buffer.alloc(2000);

/** A conversation with segments 0 to `count`-1 sent a millisecond apart; stamps are times. */
function sent(count: number, deadlineMs = Infinity): { conversation: SendConversation; due: (nowMs: number) => number[] } {
  const conversation = new SendConversation(1, 100, new RttEstimator(10));
  for (let i = 0; i < count; i++) write(conversation, conversation.push(Buffer.alloc(10), 0, deadlineMs), i);
  const due = (nowMs: number, mayAbandon = deadlineMs < Infinity): number[] => {
    const found: number[] = [];
    conversation.collectDue(nowMs, 2, mayAbandon, (_, serial) => found.push(serial) > 0);
    return found;
  };
  return { conversation, due };
}

function write(conversation: SendConversation, serial: number, nowMs: number, copies = 1): void {
  conversation.write(serial, OUT, 0, nowMs, nowMs, copies, 100, 0);
}

/** One datagram acknowledged these; each with the stamp of the transmission that came. */
function acknowledge(conversation: SendConversation, ...acks: [serial: number, stamp: number][]): boolean {
  const inVain = acks.map(([serial, stamp]) => {
    const vain = conversation.acknowledge(serial, stamp);
    conversation.listed = true;
    return vain;
  });
  conversation.listed = false;
  conversation.fastAck(2);
  return inVain.some(Boolean);
}

describe('A segment is sent again', () => {
  test('when two datagrams acknowledged what was sent after it', () => {
    const { conversation, due } = sent(5);
    acknowledge(conversation, [1, 1]);
    assert.deepEqual(due(80), []);
    acknowledge(conversation, [2, 2], [3, 3]);
    assert.deepEqual(due(81), [0]);
  });

  test('not again when what was under way before its retransmit is acknowledged, as counting serials would have it', () => {
    const { conversation, due } = sent(10);
    acknowledge(conversation, [1, 1]);
    acknowledge(conversation, [2, 2]);
    assert.deepEqual(due(81), [0]);
    write(conversation, 0, 82);
    for (let serial = 3; serial < 9; serial++) acknowledge(conversation, [serial, serial]);
    assert.deepEqual(due(90), []);
    for (const stamp of [90, 91]) write(conversation, conversation.push(Buffer.alloc(10), 0, Infinity), stamp);
    acknowledge(conversation, [10, 90]);
    acknowledge(conversation, [11, 91]);
    assert.deepEqual(due(170), [0, 9], 'but when what was sent after the retransmit is');
  });

  test('when a retransmission of something older overtook it', () => {
    const { conversation, due } = sent(3);
    acknowledge(conversation, [2, 2]);
    write(conversation, 0, 50);
    write(conversation, 0, 60);
    acknowledge(conversation, [0, 50]);
    acknowledge(conversation, [0, 60]);
    assert.deepEqual(due(140), [1]);
  });

  test('so often as was said, a little apart, and counts as one retransmission', () => {
    const { conversation, due } = sent(1);
    assert.deepEqual(due(199), []);
    assert.deepEqual(due(200), [0]);
    write(conversation, 0, 200, 3);
    assert.deepEqual(due(204), []);
    assert.ok(conversation.isCopy(0));
    for (const atMs of [205, 210]) {
      assert.deepEqual(due(atMs), [0]);
      write(conversation, 0, atMs, 3);
    }
    assert.ok(!conversation.isCopy(0));
    assert.deepEqual(due(215), []);
    assert.deepEqual(due(509), []);
    assert.deepEqual(due(510), [0], 'after a timeout half as long again');
  });

  test('in vain when its first transmission is acknowledged after all', () => {
    const { conversation } = sent(2);
    write(conversation, 0, 50);
    write(conversation, 1, 51);
    assert.equal(acknowledge(conversation, [0, 0]), true);
    assert.equal(acknowledge(conversation, [1, 51]), false);
  });

  test('the oftener the more is lost, and once where nothing is', () => {
    assert.deepEqual([0, 0.004, 0.01, 0.05, 0.1, 0.3, 1].map(retransmissionCopies), [1, 1, 4, 6, 6, 6, 6]);
  });
});

describe('That overdue segments are given up', () => {
  test('is said up to four times, until the peer shows that it knows', () => {
    const { conversation, due } = sent(2, 100);
    const told: number[] = [];
    for (let nowMs = 90; nowMs < 3_000; nowMs += 10) {
      due(nowMs);
      if (conversation.forwardPending) told.push(nowMs);
      conversation.forwardPending = false;
    }
    assert.deepEqual(told, [100, 300, 500, 700]);

    const heard = sent(2, 100);
    heard.due(100);
    assert.ok(heard.conversation.forwardPending);
    heard.conversation.forwardPending = false;
    heard.conversation.acknowledgeBelow(2);
    heard.due(1_000);
    assert.ok(!heard.conversation.forwardPending);
  });
});
