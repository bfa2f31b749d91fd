import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@millrace/service';
import { HeardTime } from './heard-time.ts';
import {
  LIFE_LIMITS,
  MAX_FIRST_SIGN_MS,
  MAX_QUIET_MS,
  nextLookOf,
  observeLife,
  quietEndOf,
  QUIET_REASONS,
  type LifeSigns,
} from './life-signs.ts';

/** Looks each second, as the node does, when it is the viewer's turn. @returns when and why the session ends; undefined: it lives on */
function watch(packetsAtMs: readonly number[], untilMs: number): { atMs: number; reason: string } | undefined {
  let signs: LifeSigns | undefined;
  let nextLookMs = 0;
  for (let nowMs = 0; nowMs <= untilMs; nowMs += 1000) {
    if (nowMs < nextLookMs) continue;
    const bytes = 32 * packetsAtMs.filter((atMs) => atMs <= nowMs).length;
    signs = observeLife(signs, bytes, nowMs);
    nextLookMs = nextLookOf(signs, nowMs, LIFE_LIMITS);
    const { dueMs, reason } = quietEndOf(signs, LIFE_LIMITS);
    if (nowMs >= dueMs) return { atMs: nowMs, reason };
  }
  return undefined;
}

describe('a viewer of plain RTP', () => {
  test('that sends nothing ends 15 s after it opened its session', () => {
    assert.deepEqual(watch([], 100_000), { atMs: MAX_FIRST_SIGN_MS, reason: QUIET_REASONS.never });
  });

  test('that falls silent ends 30 s after its last packet was seen', () => {
    const end = watch([1500, 4000], 100_000);
    assert.equal(end?.reason, QUIET_REASONS.quiet);
    assert.ok(end.atMs >= 4000 + MAX_QUIET_MS && end.atMs <= 10_000 + MAX_QUIET_MS, String(end.atMs));
  });

  test('lives as long as it sends each 10 s, and ends soon after it stops, whenever its packets come', () => {
    const random = seededRandom(1);
    for (let run = 0; run < 300; run++) {
      const packets = [random() * MAX_FIRST_SIGN_MS * 0.99];
      while (packets.at(-1)! < 300_000) packets.push(packets.at(-1)! + random() * 10_000);
      assert.equal(watch(packets, 300_000), undefined, packets.join());
      const lastMs = packets[Math.floor(random() * packets.length)]!;
      const end = watch(
        packets.filter((atMs) => atMs <= lastMs),
        400_000,
      );
      assert.ok(end && end.atMs >= lastMs + MAX_QUIET_MS && end.atMs <= lastMs + MAX_QUIET_MS + 6000, `${lastMs}: ${end?.atMs}`);
    }
  });

  test('is not blamed for the time in which the node stood still', () => {
    const heard = new HeardTime();
    assert.deepEqual(
      [1000, 2000, 60_000, 61_000].map((nowMs) => heard.look(nowMs)),
      [0, 1000, 3000, 4000],
    );
  });
});
