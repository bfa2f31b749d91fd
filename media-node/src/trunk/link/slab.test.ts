import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Slab } from './slab.ts';

test('what was taken is as long as was asked for, and nobody else writes into it', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(1400), fc.integer({ min: 16_000, max: 65_535 })), { maxLength: 60 }), (lengths) => {
      const slab = new Slab();
      const pieces = lengths.map((length, i) => slab.take(length).fill(i));
      pieces.forEach((piece, i) => {
        assert.equal(piece.length, lengths[i]);
        assert.ok(piece.every((byte) => byte === i));
      });
    }),
  );
});
