import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ANSWER_WITHIN_MS, KeyframeBackoff, MAX_REQUEST_INTERVAL_MS, MIN_REQUEST_INTERVAL_MS } from './keyframe-backoff.ts';

/** Asks at these times and ticks each 10 ms; returns when requests went to the publisher, which answers after `answerMs`. */
function sentAt(options: {
  askedAt: (nowMs: number) => boolean;
  answerMs?: number;
  keyframesAt?: (nowMs: number) => boolean;
  untilMs: number;
}) {
  const backoff = new KeyframeBackoff();
  const sent: number[] = [];
  for (let nowMs = 0; nowMs <= options.untilMs; nowMs += 10) {
    const isAnswer = options.answerMs !== undefined && sent.includes(nowMs - options.answerMs);
    if (isAnswer || options.keyframesAt?.(nowMs)) backoff.keyframe(nowMs);
    const isSent = options.askedAt(nowMs) ? backoff.request(nowMs) : backoff.tick(nowMs);
    if (isSent) sent.push(nowMs);
  }
  return sent;
}

describe('a publisher is asked for a keyframe', () => {
  test('at once, each time, when it answers', () => {
    const askedAt = (nowMs: number) => nowMs % 1000 === 0;
    assert.deepEqual(sentAt({ askedAt, answerMs: 200, untilMs: 5000 }), [0, 1000, 2000, 3000, 4000, 5000]);
  });

  test('once for viewers who come together', () => {
    const sent = sentAt({ askedAt: (nowMs) => nowMs < 200, answerMs: 100, untilMs: 2000 });
    assert.deepEqual(sent, [0, MIN_REQUEST_INTERVAL_MS]);
  });

  test('less and less often when it does not answer, though the gate asks each second', () => {
    const askedAt = (nowMs: number) => nowMs % 1000 === 0;
    const sent = sentAt({ askedAt, untilMs: 120_000 });
    assert.deepEqual(sent, [0, 1000, 3000, 7000, 15_000, 31_000, 61_000, 91_000]);
  });

  test('seldom when its keyframes come on a schedule of their own, and by viewers’ requests no sooner', () => {
    const askedAt = (nowMs: number) => nowMs % 500 === 0;
    const sent = sentAt({ askedAt, keyframesAt: (nowMs) => nowMs % 20_000 === 19_000, untilMs: 60_000 });
    assert.ok(sent.length < 15, `${sent.length} requests in a minute`);
  });

  test('at once again after one answer', () => {
    const askedAt = (nowMs: number) => nowMs % 1000 === 0;
    const sent = sentAt({ askedAt, keyframesAt: (nowMs) => nowMs === 7500, untilMs: 9000 });
    assert.deepEqual(sent, [0, 1000, 3000, 7000, 8000, 9000]);
  });

  test('never more often than the interval, and always again within the longest one', () => {
    const events = fc.array(fc.record({ waitMs: fc.nat(3000), act: fc.constantFrom('request', 'keyframe', 'tick') }), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(events, (all) => {
        const backoff = new KeyframeBackoff();
        let nowMs = 0;
        let lastMs = -Infinity;
        for (const { waitMs, act } of all) {
          nowMs += waitMs;
          if (act === 'keyframe') backoff.keyframe(nowMs);
          else if (act === 'request' ? backoff.request(nowMs) : backoff.tick(nowMs)) {
            assert.ok(nowMs - lastMs >= MIN_REQUEST_INTERVAL_MS);
            lastMs = nowMs;
          }
          if (backoff.dueMs !== Infinity) assert.ok(backoff.dueMs <= lastMs + MAX_REQUEST_INTERVAL_MS);
        }
      }),
    );
    assert.ok(ANSWER_WITHIN_MS < MAX_REQUEST_INTERVAL_MS);
  });
});
