import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Campaign, CampaignResult } from '@millrace/operator-simulation';

// `make campaign` runs 10,000; the unit tests of operator-simulation run a sample of seeds. Split so that no single test runs long.
const RUNS = Number(process.env['SIMULATION_RUNS'] ?? 1000);
const PIECES = 20;
const AT_ONCE = 2;

describe(`the operator in the fault simulation, ${RUNS} random interleavings`, { concurrency: AT_ONCE }, () => {
  for (let piece = 0; piece < PIECES; piece++) {
    const [runs, firstSeed] = [RUNS / PIECES, 1_000_000 + (piece * RUNS) / PIECES];
    test(`seeds ${firstSeed} to ${firstSeed + runs - 1}`, async (t) => {
      const outcome = await onItsOwnCore({ firstSeed, runs });
      t.diagnostic(JSON.stringify(outcome));
      assert.equal(outcome.runs, runs);
    });
  }
});

async function onItsOwnCore(workerData: Campaign): Promise<CampaignResult> {
  const thread = new Worker(new URL('./src/simulation-thread.ts', import.meta.url), { workerData });
  const [outcome] = (await once(thread, 'message')) as [CampaignResult];
  return outcome;
}
