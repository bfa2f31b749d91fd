import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { campaign, shrink } from './campaign.ts';
import { play, scriptOf } from './run.ts';
import type { Script } from './script.ts';

// The operator as it runs in a cluster, two replicas of it, on a scripted API and a fleet, in virtual time. Beside the code a spread of
// seeds is played; e2e/operator-simulation.e2e.test.ts plays 10,000. A failure prints its seed and its shortest script.
const { SIMULATION_SEED = '1', SIMULATION_RUNS = '400', SIMULATION_SCRIPT } = process.env;

describe('the operator under fire', () => {
  test('whatever happens between: converges, makes nothing twice, kills no session, writes nothing when deposed, is quiet in the end', async (t) => {
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

  test('a failing script is shortened to what matters', async () => {
    const wait = (ms: number) => ({ do: 'wait' as const, ms });
    const script: Script = { seed: 1, replicas: [1], steps: [1, 2, 3, 4, 5, 6, 7].map(wait) };
    const fails = (shorter: Script): Promise<boolean> =>
      Promise.resolve([2, 6].every((ms) => shorter.steps.some((step) => 'ms' in step && step.ms === ms)));
    assert.deepEqual((await shrink(script, fails)).steps, [wait(2), wait(6)]);
  });
});
