import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { planMoves } from './drain.ts';

test('every session is told to move, in order, within half of the time left and a minute at most', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 500 }), fc.integer({ min: -1000, max: 3_600_000 }), (sessions, leftMs) => {
      const moves = planMoves(sessions, leftMs);
      assert.deepEqual(
        moves.map(({ session }) => session),
        sessions,
      );
      let before = 0;
      for (const { afterMs } of moves) {
        assert.ok(afterMs >= before && afterMs <= Math.max(0, Math.min(60_000, leftMs / 2)));
        before = afterMs;
      }
    }),
  );
});

test('a full node’s viewers do not arrive elsewhere at once', () => {
  const moves = planMoves(Array.from({ length: 1000 }), 1_800_000);
  const perSecond = Math.max(
    ...Array.from({ length: 60 }, (_, second) => moves.filter(({ afterMs }) => Math.floor(afterMs / 1000) === second).length),
  );
  assert.ok(perSecond <= 60, String(perSecond));
});
