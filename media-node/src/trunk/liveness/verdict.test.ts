import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { beatTime, readBeat, writeBeat, BEAT_BYTES } from './beat.ts';
import { maxMissedBeats, silenceTimeoutMs } from './verdict.ts';

describe('Whether a silent trunk is lost', () => {
  test('takes three beats on a clean trunk at medium sensitivity, and more the more it is known to lose', () => {
    assert.deepEqual(
      [0, 0.05, 0.1, 0.3, 0.5].map((loss) => maxMissedBeats(loss, 'Medium')),
      [3, 5, 6, 12, 20],
    );
    assert.deepEqual(
      (['High', 'Medium', 'Low'] as const).map((sensitivity) => maxMissedBeats(0, sensitivity)),
      [2, 3, 5],
    );
  });

  test('on a clean trunk with 40 ms beats is so after 150 ms, on a lossy one after about half a second', () => {
    assert.equal(silenceTimeoutMs({ maxGapMs: 40, jitterMs: 0, loss: 0 }, 'Medium'), 150);
    assert.equal(silenceTimeoutMs({ maxGapMs: 60, jitterMs: 2, loss: 0 }, 'Medium'), 188);
    assert.equal(silenceTimeoutMs({ maxGapMs: 40, jitterMs: 0, loss: 0.3 }, 'Medium'), 480);
  });

  test('never takes less patience for more loss, longer gaps or more jitter', () => {
    const level = fc.record({
      maxGapMs: fc.integer({ min: 10, max: 1000 }),
      jitterMs: fc.nat({ max: 50 }),
      loss: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(level, level, (a, b) => {
        const worse = {
          maxGapMs: Math.max(a.maxGapMs, b.maxGapMs),
          jitterMs: Math.max(a.jitterMs, b.jitterMs),
          loss: Math.max(a.loss, b.loss),
        };
        assert.ok(silenceTimeoutMs(worse, 'Medium') >= silenceTimeoutMs(a, 'Medium'));
        assert.ok(Number.isFinite(silenceTimeoutMs(worse, 'Low')));
      }),
    );
  });
});

describe('A beat', () => {
  test('comes out as it went in', () => {
    const out = Buffer.alloc(BEAT_BYTES);
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    const u16 = fc.integer({ min: 1, max: 0xffff });
    const echo = fc.option(fc.record({ sentUs: u32, delayUs: u32 }, { noNullPrototype: true }), { nil: undefined });
    const beat = fc.record(
      {
        answerWanted: fc.boolean(),
        maxGapMs: u16,
        requestedGapMs: u16,
        sentUs: u32,
        echo,
        probesSent: u16,
        expected: u32,
        received: u32,
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(beat, (it) => {
        assert.equal(writeBeat(it, out, 0), BEAT_BYTES);
        assert.deepEqual(readBeat(out), it);
      }),
    );
  });

  test('that promises nothing is refused, as is a short one', () => {
    assert.equal(readBeat(Buffer.alloc(BEAT_BYTES)), undefined);
    assert.equal(readBeat(Buffer.alloc(3)), undefined);
    assert.ok(beatTime(5_000_000_000) <= 0xffff_ffff);
  });
});
