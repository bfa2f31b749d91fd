import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LinkModel, type Delivery } from './link-model.ts';
import type { LinkProfile } from './profile.ts';
import { seededRandom } from '@millrace/service';

interface Passage {
  sentMs: number;
  copies: Delivery[];
}

/** Sends datagrams of `bytes`, one every `everyMs`. */
function pass(
  profile: Partial<LinkProfile>,
  count: number,
  everyMs = 1,
  bytes = 1000,
  seed = 1,
): { model: LinkModel; passages: Passage[] } {
  const model = new LinkModel(profile, seededRandom(seed));
  const passages = Array.from({ length: count }, (_, i) => ({ sentMs: i * everyMs, copies: model.offer(bytes, i * everyMs) }));
  return { model, passages };
}

const arrivals = (passages: Passage[]): number[] => passages.flatMap(({ copies }) => copies.map(({ atMs }) => atMs));
const takenMs = (passages: Passage[]): number[] =>
  passages.flatMap(({ sentMs, copies }) => copies.map(({ atMs }) => atMs - sentMs));
const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function deviation(values: number[]): number {
  const centre = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - centre) ** 2)));
}

function correlation(values: number[], lag: number): number {
  const [centre, spread] = [mean(values), deviation(values)];
  return mean(values.slice(lag).map((value, i) => (value - centre) * (values[i]! - centre))) / spread ** 2;
}

function near(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, expected ${expected} ± ${tolerance}`);
}

describe('A link', () => {
  test('without settings delivers at once and in order', () => {
    const { passages } = pass({}, 100);
    assert.deepEqual(takenMs(passages), new Array(100).fill(0));
  });

  test('loses the configured share, independently for each datagram', () => {
    const { model, passages } = pass({ loss: 0.1 }, 50_000);
    near(model.counters.lost / 50_000, 0.1, 0.005, 'loss');
    const lost = passages.map(({ copies }) => (copies.length === 0 ? 1 : 0));
    near(correlation(lost, 1), 0, 0.02, 'correlation of successive datagrams');
  });

  test('loses the configured share in bursts of the configured length', () => {
    for (const [burstLoss, burstLength] of [
      [0.05, 4],
      [0.2, 10],
    ] as const) {
      const { model, passages } = pass({ burstLoss, burstLength }, 200_000);
      near(model.counters.lostInBursts / 200_000, burstLoss, burstLoss * 0.08, 'loss');
      const lengths: number[] = [];
      let run = 0;
      for (const { copies } of passages) {
        if (copies.length === 0) run++;
        else if (run > 0) run = (lengths.push(run), 0);
      }
      near(mean(lengths), burstLength, burstLength * 0.08, 'burst length');
      // A burst ends at each datagram with equal probability: a geometric distribution, whose standard deviation is close to its mean.
      near(deviation(lengths), Math.sqrt(burstLength ** 2 - burstLength), burstLength * 0.12, 'standard deviation');
    }
  });

  test('distributes jitter uniformly over the configured range', () => {
    for (const jitterCorrelationMs of [0, 20]) {
      const { passages } = pass({ delayMs: 40, jitterMs: 30, jitterCorrelationMs, keepsOrder: false }, 100_000);
      const delays = takenMs(passages);
      near(mean(delays), 55, 0.8, 'mean');
      near(deviation(delays), 30 / Math.sqrt(12), 0.5, 'deviation');
      assert.ok(Math.min(...delays.slice(0, 50_000)) >= 40 && Math.max(...delays.slice(0, 50_000)) <= 70);
      for (const part of [0.1, 0.5, 0.9]) {
        near(delays.filter((delay) => delay < 40 + 30 * part).length / delays.length, part, 0.03, `share below ${part}`);
      }
    }
  });

  test('correlates jitter over the configured time', () => {
    const { passages } = pass({ jitterMs: 30, jitterCorrelationMs: 50, keepsOrder: false }, 200_000);
    const delays = takenMs(passages);
    near(correlation(delays, 1), Math.exp(-1 / 50), 0.03, 'after 1 ms');
    near(correlation(delays, 50), Math.exp(-1), 0.06, 'after 50 ms');
    near(correlation(delays, 400), 0, 0.06, 'after 400 ms');
  });

  test('with jitter keeps the order unless reordering is enabled', () => {
    const sorted = (values: number[]): boolean => values.every((value, i) => i === 0 || value >= values[i - 1]!);
    assert.ok(sorted(arrivals(pass({ delayMs: 10, jitterMs: 20 }, 5_000).passages)));
    assert.ok(!sorted(arrivals(pass({ delayMs: 10, jitterMs: 20, keepsOrder: false }, 5_000).passages)));
  });

  test('delays the configured share, and later datagrams overtake it', () => {
    const { passages } = pass({ delayMs: 40, reordering: 0.05, reorderingMs: 25 }, 20_000, 5);
    const delays = takenMs(passages);
    near(delays.filter((delay) => delay === 65).length / 20_000, 0.05, 0.006, 'share delayed');
    assert.equal(delays.filter((delay) => delay !== 65 && delay !== 40).length, 0);
  });

  test('duplicates and corrupts the configured shares', () => {
    const { model, passages } = pass({ duplication: 0.03, corruption: 0.02 }, 50_000);
    near(passages.filter(({ copies }) => copies.length === 2).length / 50_000, 0.03, 0.003, 'duplicates');
    near(model.counters.corrupted / model.counters.delivered, 0.02, 0.003, 'damaged');
    const bits = passages.flatMap(({ copies }) => copies.flatMap(({ flippedBit }) => flippedBit ?? []));
    assert.ok(bits.every((bit) => Number.isInteger(bit) && bit >= 0 && bit < 8000));
    near(mean(bits), 4000, 300, 'position of the flipped bit');
  });

  test('limits the rate, and drops datagrams when the queue is full', () => {
    const bytes = 972;
    const { model, passages } = pass({ rateKbps: 2_000, queueMs: 100 }, 10_000, 2, bytes);
    const seconds = 20;
    near(model.counters.delivered / seconds, 2_000_000 / 8 / 1000, 3, 'datagrams a second');
    assert.equal(model.counters.delivered + model.counters.queueFull, 10_000);
    const slowest = Math.max(...takenMs(passages));
    assert.ok(slowest > 100 && slowest <= 104.1, `waited ${slowest} ms`);
    const times = arrivals(passages);
    times.slice(1).forEach((atMs, i) => assert.ok(atMs - times[i]! >= 4 - 1e-6, 'a datagram of 1,000 bytes takes 4 ms'));
  });

  test('limits the queue in bytes as well', () => {
    const { passages } = pass({ rateKbps: 8, queueMs: 1e9, queueBytes: 5_000 }, 100, 0, 972);
    assert.equal(arrivals(passages).length, 5);
  });

  test('drops IP packets above the MTU, and carries those of exactly the MTU', () => {
    const model = new LinkModel({ mtuBytes: 1280 }, seededRandom(1));
    assert.equal(model.offer(1252, 0).length, 1);
    assert.equal(model.offer(1253, 0).length, 0);
    assert.equal(model.counters.tooLarge, 1);
  });

  test('applies a new profile while it runs', () => {
    const model = new LinkModel({ delayMs: 10 }, seededRandom(1));
    assert.deepEqual(model.offer(100, 0), [{ atMs: 10, flippedBit: undefined }]);
    model.change({ cut: true }, 1);
    assert.deepEqual(model.offer(100, 2), []);
    assert.equal(model.counters.cut, 1);
    model.change({ cut: false, delayMs: 5 }, 3);
    assert.deepEqual(model.offer(100, 6), [{ atMs: 11, flippedBit: undefined }]);
    model.change({ rateKbps: 8, delayMs: 0 }, 100);
    model.offer(972, 100);
    assert.equal(model.waitMs(100), 1000);
    model.change({ rateKbps: 16 }, 600);
    assert.equal(model.waitMs(600), 250);
  });

  test('rejects an invalid profile with the name of the field, and keeps the old one', () => {
    const model = new LinkModel({ delayMs: 10 }, seededRandom(1));
    assert.throws(() => model.change({ loss: 1.5 }, 0), /RangeError: loss is 1.5: must be 0 to 1/);
    assert.throws(() => model.change({ delayMs: -1 }, 0), /delayMs is -1/);
    assert.throws(() => model.change({ jitterMs: NaN }, 0), /jitterMs is NaN/);
    assert.throws(() => model.change({ rateKbps: 0 }, 0), /rateKbps is 0/);
    assert.throws(
      () => model.change({ burstLoss: 0.9, burstLength: 2 }, 0),
      /burstLoss is 0.9: .* burstLength 2 must be at most 0.67/,
    );
    assert.deepEqual(model.profile.delayMs, 10);
  });
});

const share = fc.double({ min: 0, max: 0.5, noNaN: true });
const anyProfile: fc.Arbitrary<Partial<LinkProfile>> = fc.record({
  delayMs: fc.double({ min: 0, max: 200, noNaN: true }),
  jitterMs: fc.double({ min: 0, max: 100, noNaN: true }),
  jitterCorrelationMs: fc.constantFrom(0, 10, 1000),
  keepsOrder: fc.boolean(),
  loss: share,
  burstLoss: share,
  burstLength: fc.double({ min: 1, max: 20, noNaN: true }),
  reordering: share,
  reorderingMs: fc.double({ min: 0, max: 50, noNaN: true }),
  duplication: share,
  corruption: share,
  rateKbps: fc.constantFrom(Infinity, 50, 5_000),
  queueMs: fc.constantFrom(1, 50, 500),
  cut: fc.boolean(),
  mtuBytes: fc.constantFrom(600, 1280, Infinity),
});
const anyTraffic = fc.array(fc.record({ bytes: fc.nat(1400), gapMs: fc.double({ min: 0, max: 20, noNaN: true }) }), {
  maxLength: 200,
});

describe('any profile', () => {
  test('gives equal deliveries for equal seeds', () => {
    fc.assert(
      fc.property(anyProfile, anyTraffic, fc.integer(), (profile, traffic, seed) => {
        const run = (): unknown[] => {
          const model = new LinkModel(profile, seededRandom(seed));
          let nowMs = 0;
          return traffic.map(({ bytes, gapMs }) => model.offer(bytes, (nowMs += gapMs)));
        };
        assert.deepEqual(run(), run());
      }),
    );
  });

  test('counts every datagram, and delivers none before its delay or after the maximum of all delays', () => {
    fc.assert(
      fc.property(anyProfile, anyTraffic, fc.integer(), (profile, traffic, seed) => {
        const model = new LinkModel(profile, seededRandom(seed));
        const { delayMs, jitterMs, reorderingMs, rateKbps, queueMs } = model.profile;
        let nowMs = 0;
        for (const { bytes, gapMs } of traffic) {
          nowMs += gapMs;
          const serializationMs = ((bytes + 28) * 8) / rateKbps;
          for (const { atMs } of model.offer(bytes, nowMs)) {
            const took = atMs - nowMs;
            assert.ok(took >= delayMs + serializationMs - 1e-6, `${took} ms`);
            assert.ok(took <= delayMs + jitterMs + reorderingMs + queueMs + serializationMs + 1e-6, `${took} ms`);
          }
        }
        const { offered, delivered, duplicated, lost, lostInBursts, cut, tooLarge, queueFull } = model.counters;
        assert.equal(offered, traffic.length);
        assert.equal(delivered - duplicated + lost + lostInBursts + cut + tooLarge + queueFull, offered);
      }),
    );
  });
});
