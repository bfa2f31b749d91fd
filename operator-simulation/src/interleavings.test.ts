import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { campaign, shrink } from './campaign.ts';
import { play, scriptOf } from './run.ts';
import type { Script } from './script.ts';

// Two replicas of the operator, as in a cluster, on a simulated API and fleet in virtual time. This test runs a sample of seeds;
// e2e/operator-simulation.e2e.test.ts runs 10,000. A failure prints its seed and the shortest failing script.
const { SIMULATION_SEED = '1', SIMULATION_RUNS = '200', SIMULATION_SCRIPT } = process.env;

describe('the operator in the fault simulation', () => {
  test('under any faults it converges, creates nothing twice, kills no session, writes only while it leads, and becomes idle', async (t) => {
    if (SIMULATION_SCRIPT) {
      const { violations } = await play(JSON.parse(SIMULATION_SCRIPT) as Script);
      assert.deepEqual(violations, []);
      return;
    }
    const outcome = await campaign({ firstSeed: Number(SIMULATION_SEED), runs: Number(SIMULATION_RUNS) });
    t.diagnostic(JSON.stringify(outcome));
    assert.equal(outcome.runs, Number(SIMULATION_RUNS));
  });

  test('equal seeds give equal runs', async () => {
    for (const seed of [5, 124]) assert.deepEqual(await play(scriptOf(seed)), await play(scriptOf(seed)), `seed ${seed}`);
  });

  test('a failing script is reduced to the steps that cause the failure', async () => {
    const wait = (ms: number) => ({ do: 'wait' as const, ms });
    const script: Script = { seed: 1, replicas: [1], steps: [1, 2, 3, 4, 5, 6, 7].map(wait) };
    const fails = (shorter: Script): Promise<boolean> =>
      Promise.resolve([2, 6].every((ms) => shorter.steps.some((step) => 'ms' in step && step.ms === ms)));
    assert.deepEqual((await shrink(script, fails)).steps, [wait(2), wait(6)]);
  });
});
