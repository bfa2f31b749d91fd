import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { drawPanels, tickStep } from './picture.ts';

test('an axis has at most ten ticks, and few enough to read', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 1e9, noNaN: true }), (most) => {
      const ticks = most / tickStep(most);
      assert.ok(ticks <= 10 && ticks >= 2, String(ticks));
    }),
  );
});

test('every line stays within the picture and is named with its last value', () => {
  const points = Array.from({ length: 1000 }, (_, i) => ({ atMs: i * 1000, value: (i * 37) % 101 }));
  const svg = drawPanels('a & b', [{ title: 'RSS <MiB>', series: [{ name: 'node', points }] }], 60_000);
  assert.match(svg, /a &amp; b/);
  assert.match(svg, /RSS &lt;MiB>/);
  assert.match(svg, new RegExp(`node: ${(999 * 37) % 101}<`));
  const [, line] = /<polyline points="([^"]+)"/.exec(svg)!;
  const pairs = line!.split(' ').map((pair) => pair.split(',').map(Number) as [number, number]);
  assert.ok(pairs.length <= 401);
  for (const [x, y] of pairs) assert.ok(x >= 70 && x <= 800 && y >= 60 && y <= 310, `${x},${y}`);
});

test('a panel of zeros is drawn, too', () => {
  assert.doesNotMatch(drawPanels('t', [{ title: 'p', series: [{ name: 's', points: [{ atMs: 0, value: 0 }] }] }], 0), /NaN/);
});
