import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ABOVE_LIMIT, MAX_ABOVE_MS, observeRate, rateEndOf, throttledOf, type PublishRate } from './rate.ts';

/** One look a second at a publisher of this rate. @returns the rates after each look */
function watch(kbpsAt: (second: number) => number, seconds: number, maxKbps: number | undefined): PublishRate[] {
  const rates: PublishRate[] = [];
  let bytes = 0;
  let withheld = 0;
  for (let second = 0; second <= seconds; second++) {
    const kbps = kbpsAt(second);
    bytes += (kbps * 1000) / 8;
    if (maxKbps !== undefined && kbps > maxKbps * 1.1) withheld += 1;
    rates.push(observeRate(rates.at(-1), { bytes, withheld, maxKbps }, second * 1000));
  }
  return rates;
}

const endOf = (rates: readonly PublishRate[]): { atMs: number; reason: string } | undefined => {
  for (const [second, rate] of rates.entries()) {
    const reason = rateEndOf(rate, second * 1000);
    if (reason !== undefined) return { atMs: second * 1000, reason };
  }
  return undefined;
};

describe('a publisher’s rate', () => {
  test('above the limit ends it after 30 s, with both figures', () => {
    const end = endOf(watch(() => 4800, 100, 2000));
    assert.equal(end?.reason, `${ABOVE_LIMIT}: 4800 kbit/s, at most 2000 (quality.maxPublishKbps)`);
    assert.ok(end.atMs >= MAX_ABOVE_MS && end.atMs <= MAX_ABOVE_MS + 6000, String(end.atMs));
  });

  test('at the limit, a little above it, above it for a while, or without one, does not', () => {
    assert.equal(endOf(watch(() => 2000, 300, 2000)), undefined);
    assert.equal(endOf(watch(() => 2180, 300, 2000)), undefined);
    assert.equal(endOf(watch((second) => (second % 60 < 20 ? 4000 : 500), 300, 2000)), undefined);
    assert.equal(endOf(watch(() => 90_000, 300, undefined)), undefined);
  });

  test('shows as throttled while something is withheld, and not for long after', () => {
    const rates = watch((second) => (second < 30 ? 5000 : 500), 60, 2000);
    assert.deepEqual(throttledOf(rates[20]!, 20_000), { kbps: 5000, maxKbps: 2000 });
    assert.equal(throttledOf(rates[40]!, 40_000), undefined);
    assert.equal(throttledOf(watch(() => 1900, 10, 2000).at(-1)!, 10_000), undefined);
  });
});
