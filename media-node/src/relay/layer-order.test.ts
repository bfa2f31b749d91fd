import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LayerOrder } from './layer-order.ts';

const permutations = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];
const PIXELS = [240 * 135, 480 * 270, 960 * 540];

/** Sends each layer's bytes a packet of each in turn, 10 times a second. */
function send(order: LayerOrder, bytes: readonly number[], fromMs: number, toMs: number): boolean {
  let changed = false;
  for (let ms = fromMs; ms < toMs; ms += 100)
    for (const [layer, size] of bytes.entries()) if (size > 0 && order.onPacket(layer, size, ms)) changed = true;
  return changed;
}

describe('the order of simulcast layers', () => {
  for (const sizes of permutations) {
    const expected = [0, 1, 2].sort((a, b) => sizes[a]! - sizes[b]!);
    test(`follows sizes ${sizes.join(', ')} at first sight, whatever was assumed and whichever comes first`, () => {
      for (const assumed of permutations) {
        for (const arrival of permutations) {
          const order = new LayerOrder(assumed);
          for (const layer of arrival) order.onFrameSize(layer, PIXELS[sizes[layer]!]!, 0);
          assert.deepEqual(order.order, expected, `assumed ${assumed.join()}, seen ${arrival.join()}`);
        }
      }
    });

    test(`follows rates ${sizes.join(', ')} where sizes are not known or equal, once they stand`, () => {
      for (const assumed of permutations) {
        for (const areSeen of [false, true]) {
          const order = new LayerOrder(assumed);
          if (areSeen) for (const layer of assumed) order.onFrameSize(layer, 1000, 0);
          const rates = sizes.map((size) => 300 * 2 ** size);
          assert.equal(send(order, rates, 0, 5000), false, 'two windows say nothing yet');
          send(order, rates, 5000, 12_000);
          assert.deepEqual(order.order, expected);
        }
      }
    });
  }

  test('is turned round as a whole when the layers that are seen stand the wrong way round', () => {
    const order = new LayerOrder([0, 1, 2]);
    order.onFrameSize(1, 480 * 270, 0);
    assert.deepEqual(order.order, [0, 1, 2]);
    assert.equal(order.onFrameSize(2, 240 * 135, 10), true);
    assert.deepEqual(order.order, [2, 1, 0]);
  });

  test('is not changed by layers that are scaled down one after the other', () => {
    const order = new LayerOrder([0, 1, 2]);
    for (const layer of [0, 1, 2]) order.onFrameSize(layer, PIXELS[layer]!, 0);
    assert.equal(order.onFrameSize(2, PIXELS[2]! / 16, 1000), false);
    assert.equal(order.onFrameSize(1, PIXELS[1]! / 16, 2500), false);
    assert.equal(order.onFrameSize(0, PIXELS[0]! / 16, 2900), false);
    assert.equal(send(order, [100, 100, 100], 3000, 20_000), false);
    assert.deepEqual(order.order, [0, 1, 2]);
  });

  test('is changed by sizes that stay so', () => {
    const order = new LayerOrder([0, 1]);
    order.onFrameSize(0, 100, 0);
    order.onFrameSize(1, 400, 0);
    assert.equal(order.onFrameSize(0, 900, 1000), false);
    assert.equal(send(order, [100, 100], 1000, 6000), true);
    assert.deepEqual(order.order, [1, 0]);
  });

  test('is not changed by a layer that is paused, or by rates that are near each other', () => {
    const order = new LayerOrder([0, 1, 2]);
    assert.equal(send(order, [100, 130, 0], 0, 30_000), false);
    assert.equal(send(order, [130, 100, 0], 30_000, 60_000), false);
  });

  test('always has each layer once, whatever is seen', () => {
    const seen = fc.record({ layer: fc.nat(4), pixels: fc.nat(3), bytes: fc.nat(2000), stepMs: fc.nat(3000) });
    fc.assert(
      fc.property(fc.shuffledSubarray([0, 1, 2, 3], { minLength: 2 }), fc.array(seen, { maxLength: 60 }), (assumed, events) => {
        const order = new LayerOrder(assumed);
        let nowMs = 0;
        for (const { layer, pixels, bytes, stepMs } of events) {
          nowMs += stepMs;
          const before = order.order;
          const hasChanged = [
            order.onPacket(layer, bytes, nowMs),
            pixels > 0 && order.onFrameSize(layer, pixels, nowMs),
          ].includes(true);
          assert.deepEqual([...order.order].sort(), [...assumed].sort());
          if (!hasChanged) assert.deepEqual(order.order, before);
        }
      }),
    );
  });
});
