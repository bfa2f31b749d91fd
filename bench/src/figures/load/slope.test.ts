import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { growthOf, minima, theilSen, type Point } from './slope.ts';

const NOISE = { min: 5, share: 0.01 };
const slopeOf = (points: readonly Point[]) => theilSen(points.map(({ atMs, value }) => ({ x: atMs / 60_000, y: value })));

const line = (count: number, perMinute: number, noise: (i: number) => number = () => 0): Point[] =>
  Array.from({ length: count }, (_, i) => ({ atMs: i * 10_000, value: 500 + (i * perMinute) / 6 + noise(i) }));

test('the slope of an exact line is found, with an empty interval', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1000, max: 1000 }), fc.integer({ min: 4, max: 60 }), (perMinute, count) => {
      const { low, slope: found, high } = slopeOf(line(count, perMinute));
      for (const each of [low, found, high]) assert.ok(Math.abs(each - perMinute) < 1e-6, String(each));
    }),
  );
});

test('outliers of one point in five do not change the slope', () => {
  const { slope } = slopeOf(line(50, 6, (i) => (i % 5 === 2 ? 4000 : 0)));
  assert.ok(Math.abs(slope - 6) < 1.5, String(slope));
});

test('the interval contains the true slope of noisy points in 95% of cases', () => {
  let seed = 7;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const held = Array.from({ length: 400 }, () => {
    const { low, high } = slopeOf(line(24, 3, () => 40 * (random() + random() + random() - 1.5)));
    return low <= 3 && 3 <= high;
  }).filter(Boolean).length;
  assert.ok(held / 400 > 0.9 && held / 400 < 0.99, `${held} of 400`);
});

test('three points are too few for a slope', () => {
  assert.throws(() => slopeOf(line(3, 1)), /3 points/);
});

test('a sawtooth is judged by its minima', () => {
  const saw = line(60, 0, (i) => 50 * (i % 6));
  assert.equal(growthOf(minima(saw, 60_000), NOISE).verdict, 'flat');
  const leaking = saw.map(({ atMs, value }, i) => ({ atMs, value: value + i }));
  assert.equal(growthOf(minima(leaking, 60_000), NOISE).verdict, 'grows');
});

test('a significant but tiny slope is flat, a clear decrease is reported', () => {
  assert.equal(growthOf(line(40, 0.1), NOISE).verdict, 'flat');
  assert.equal(growthOf(line(40, -20), NOISE).verdict, 'shrinks');
});
