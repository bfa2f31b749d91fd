import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Clock } from '@millrace/service';
import { FakeClock } from '@millrace/testkit';
import { ServerClock } from './server-clock.ts';

/** A host whose wall clock has an adjustable offset. */
function host() {
  const clock = new FakeClock(Date.UTC(2026, 0, 1));
  const skew = { ms: 0 };
  const local: Clock = {
    now: () => clock.now(),
    wall: () => clock.wall() + skew.ms,
    setTimeout: (fn, ms) => clock.setTimeout(fn, ms),
    clearTimeout: (timer) => clock.clearTimeout(timer),
  };
  return { clock, skew, local };
}

const seconds = (ms: number): number => Math.floor(ms / 1000) * 1000;

describe('the clock of the API server', () => {
  test('with a wrong host clock, the time is the server’s from the first answer on', () => {
    const { clock, skew, local } = host();
    skew.ms = 3_600_000;
    const server = new ServerClock(local);
    server.observe(seconds(clock.wall()), clock.now());
    assert.ok(Math.abs(server.wall() - clock.wall()) <= 1_000);
  });

  test('a jump of the host’s clock has no effect', () => {
    const { clock, skew, local } = host();
    const server = new ServerClock(local);
    server.observe(seconds(clock.wall()), clock.now());
    for (const ms of [-3_600_000, 86_400_000]) {
      skew.ms = ms;
      clock.advance(10_000);
      server.observe(seconds(clock.wall()), clock.now());
      assert.ok(Math.abs(server.wall() - clock.wall()) <= 1_000);
    }
  });

  test('a jump of the server’s clock by an hour is slewed by 3 s per minute', () => {
    const { clock, local } = host();
    const server = new ServerClock(local);
    server.observe(seconds(clock.wall()), clock.now());
    const before = server.wall();
    for (let second = 0; second < 60; second++) {
      server.observe(seconds(clock.wall() + 3_600_000), clock.now());
      clock.advance(1_000);
    }
    const moved = server.wall() - before;
    assert.ok(moved > 62_000 && moved <= 63_000, `${moved} ms`);
  });

  test('whatever servers answer, time never goes backwards and advances at 95 to 105 percent', () => {
    const answer = fc.record({ waitMs: fc.integer({ min: 0, max: 5_000 }), offMs: fc.integer({ min: -1e7, max: 1e7 }) });
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 30 }), (answers) => {
        const { clock, local } = host();
        const server = new ServerClock(local);
        server.observe(clock.wall(), clock.now());
        for (const { waitMs, offMs } of answers) {
          const before = server.wall();
          clock.advance(waitMs);
          const passed = server.wall() - before;
          assert.ok(passed >= waitMs * 0.949 && passed <= waitMs * 1.051, `${passed} ms in ${waitMs} ms`);
          server.observe(clock.wall() + offMs, clock.now());
        }
      }),
    );
  });
});
