import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { choosePath, EVALUATION_WINDOW_MS, type Challenge, type Hysteresis } from './hysteresis.ts';
import type { Path } from './paths.ts';

const rule: Hysteresis = { improvementPercent: 15, windows: 3, dwellMs: 10_000 };
const path = (name: string, costMs: number): Path => ({ hops: ['c-1', name, 'a-1'], costMs, rttMs: costMs, lossPercent: 0 });

/** One evaluation of the mesh: the cost of each path (undefined while its link is down), and whether the operator restarted just before. */
interface Look {
  afterMs: number;
  good: number | undefined;
  plain: number | undefined;
  restarted: boolean;
}

interface Switch {
  atMs: number;
  /** The path in use was down. */
  forced: boolean;
}

/** Chooses at each evaluation as the planner does. A restart loses challenges; the path and the time it was chosen are read from status. */
function follow(looks: readonly Look[]): Switch[] {
  let [now, since, inUse] = [0, 0, 'good'];
  let challenge: Challenge | undefined;
  const switches: Switch[] = [];
  for (const { afterMs, good, plain, restarted } of looks) {
    now += afterMs;
    if (restarted) challenge = undefined;
    const ways = [good === undefined ? [] : [path('good', good)], plain === undefined ? [] : [path('plain', plain)]].flat();
    const best = ways.sort((a, b) => a.costMs - b.costMs)[0];
    if (!best) continue; // no path at all: nothing is chosen, and the programmed one stays
    const current = ways.find(({ hops }) => hops[1] === inUse);
    const choice = choosePath(current, since, best, challenge, rule, now);
    challenge = choice.challenge;
    // Status holds whole seconds.
    since = Math.floor(choice.since / 1_000) * 1_000;
    if (choice.path.hops[1] === inUse) continue;
    switches.push({ atMs: now, forced: current === undefined });
    inUse = choice.path.hops[1] ?? '';
  }
  return switches;
}

const looks = (cost: fc.Arbitrary<number | undefined>): fc.Arbitrary<Look[]> =>
  fc.array(
    fc.record({
      afterMs: fc.integer({ min: 500, max: EVALUATION_WINDOW_MS }),
      good: cost,
      plain: fc.constant(100),
      restarted: fc.boolean(),
    }),
    { maxLength: 200 },
  );

describe('a path that flaps', () => {
  test('a link that is up for a few seconds at a time makes the route leave once, and not come back', () => {
    // Up for less than three windows at a time, however often the operator is restarted.
    const upsAndDowns = fc.array(
      fc.record({
        upMs: fc.integer({ min: 500, max: 9_000 }),
        downMs: fc.integer({ min: 500, max: 9_000 }),
        restarted: fc.boolean(),
      }),
      { minLength: 3, maxLength: 60 },
    );
    fc.assert(
      fc.property(upsAndDowns, (flaps) => {
        const seen = flaps.flatMap(({ upMs, downMs, restarted }): Look[] => [
          { afterMs: downMs, good: 10, plain: 100, restarted },
          { afterMs: upMs, good: undefined, plain: 100, restarted: false },
        ]);
        const switches = follow(seen);
        assert.ok(switches.length <= 1, JSON.stringify(switches));
      }),
    );
  });

  test('whatever is measured, unforced changes are a dwell and three windows apart', () => {
    const cost = fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined });
    fc.assert(
      fc.property(looks(cost), (seen) => {
        const switches = follow(seen);
        for (const [i, { atMs, forced }] of switches.entries()) {
          const before = switches[i - 1];
          if (!before || forced) continue;
          assert.ok(atMs - before.atMs >= (rule.windows - 1) * EVALUATION_WINDOW_MS, `${atMs - before.atMs} ms`);
          assert.ok(atMs - before.atMs >= rule.dwellMs, `${atMs - before.atMs} ms`);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('costs that differ by less than the improvement never move a route, restarts or not', () => {
    fc.assert(
      fc.property(looks(fc.integer({ min: 87, max: 114 })), (seen) => {
        assert.deepEqual(follow(seen), []);
      }),
    );
  });
});
