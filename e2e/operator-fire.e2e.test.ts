import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { campaign } from '@millrace/operator/fire';

// Needs nothing but time: the campaign of which operator/src/fire plays a spread beside the code. In pieces, so that no test runs long.
const RUNS = 10_000;
const PIECES = 20;

describe('the operator under fire, 10,000 random interleavings', () => {
  for (let piece = 0; piece < PIECES; piece++) {
    const [runs, firstSeed] = [RUNS / PIECES, 1_000_000 + (piece * RUNS) / PIECES];
    test(`seeds ${firstSeed} to ${firstSeed + runs - 1}`, async (t) => {
      const outcome = await campaign({ firstSeed, runs });
      t.diagnostic(JSON.stringify(outcome));
      assert.equal(outcome.runs, runs);
    });
  }
});
