import { play, scriptOf } from './run.ts';
import type { Script } from './script.ts';

export interface Campaign {
  firstSeed: number;
  runs: number;
}

export interface CampaignResult {
  runs: number;
  requests: number;
  events: number;
  worstConvergedMs: number;
}

/** Runs one script per seed. Throws for the first failing seed, with the shortest failing script found and how to run it again. */
export async function campaign({ firstSeed, runs }: Campaign): Promise<CampaignResult> {
  const outcome: CampaignResult = { runs: 0, requests: 0, events: 0, worstConvergedMs: 0 };
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const result = await play(scriptOf(seed));
    if (result.violations.length > 0) throw new Error(await describeFailure(scriptOf(seed), result.violations));
    outcome.runs++;
    outcome.requests += result.requests;
    outcome.events += result.events;
    outcome.worstConvergedMs = Math.max(outcome.worstConvergedMs, result.convergedMs);
  }
  return outcome;
}

async function describeFailure(script: Script, violations: readonly string[]): Promise<string> {
  const kind = kindOf(violations);
  const shortest = await shrink(script, async (shorter) => kindOf((await play(shorter)).violations) === kind);
  return [
    `seed ${script.seed}: ${violations.join('; ')}`,
    `run again: SIMULATION_SEED=${script.seed} SIMULATION_RUNS=1 node --test operator-simulation/src/interleavings.test.ts`,
    `shortest script found, for SIMULATION_SCRIPT='...' in place of both: ${JSON.stringify(shortest)}`,
  ].join('\n');
}

/** The kind of the first violation, without the details that differ between runs. */
function kindOf(violations: readonly string[]): string {
  return violations[0]?.split(':')[0] ?? '';
}

/** Removes ever smaller ranges of steps while the script still fails (delta debugging: Zeller and Hildebrandt, 2002). */
export async function shrink(script: Script, fails: (script: Script) => Promise<boolean>): Promise<Script> {
  let { steps } = script;
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < steps.length;) {
      const shorter = [...steps.slice(0, from), ...steps.slice(from + size)];
      if (await fails({ ...script, steps: shorter })) steps = shorter;
      else from += size;
    }
  }
  return { ...script, steps };
}
