import { RandomSource } from './random.ts';
import { differences } from './invariants.ts';
import { writeScript, type Script } from './script.ts';
import { World } from './world.ts';

export interface RunResult {
  /** The violated invariants; empty on success. */
  violations: string[];
  requests: number;
  /** Virtual time from the end of the faults to convergence. */
  convergedMs: number;
  /** The number of faults and of changes in the store. */
  events: number;
  elapsedMs: number;
}

/** More than twice the sum of the detection of a silent watch (130 s), the maximum back-off (60 s) and the drain timeout (60 s). */
const CONVERGE_MS = 600_000;
const CHECK_INTERVAL_MS = 5_000;
const QUIET_MS = 60_000;
/** Control rewrites each status within five minutes, which may cause the last writes of the operator. */
const MAX_QUIET_ATTEMPTS = 6;

export function scriptOf(seed: number): Script {
  return writeScript(seed, new RandomSource(seed));
}

/** Runs a script, ends all faults, and waits until the operator has converged and is idle. */
export async function play(script: Script): Promise<RunResult> {
  const world = new World(script);
  let events = script.steps.length;
  world.api.store.subscribe(() => events++);
  await world.run(script.steps);
  await world.endFaults();
  const healedMs = world.clock.now();
  const { violations } = world.invariants;
  let left = remaining(world);
  while (left.length > 0 && world.clock.now() - healedMs < CONVERGE_MS && violations.length === 0) {
    await world.clock.settle(CHECK_INTERVAL_MS);
    world.api.collectGarbage();
    left = remaining(world);
  }
  const convergedMs = world.clock.now() - healedMs;
  if (violations.length === 0) violations.push(...left.map((what) => `not converged: ${what}`));
  if (violations.length === 0) violations.push(...(await activity(world)));
  const requests = world.requests;
  const elapsedMs = world.clock.now();
  // Faults must not cause request loops. Measured: at most 1.2 requests per event, besides those for Leases and watches.
  const bound = 3 * events + (2 * elapsedMs) / 1_000 + 100;
  if (requests > bound) violations.push(`busy: ${requests} requests for ${events} events in ${elapsedMs} ms, ${bound} at most`);
  violations.push(...(await world.end()));
  return { violations, requests, convergedMs, events, elapsedMs };
}

/** Writes of an idle operator: its Lease, delayed Events, and a deleted disruption budget, which it recreates within five minutes. */
function isExpectedWrite({ collection }: { collection: string }): boolean {
  return ['/leases', '/events', '/poddisruptionbudgets'].some((kind) => collection.endsWith(kind));
}

function remaining(world: World): string[] {
  return world.isOperational ? differences(world.api) : ['no operator leads'];
}

/**
 * Waits for a minute in which the operator requests nothing but Leases and watches. Before it, late changes may arrive: those that a silent
 * watch missed, a node that starts, a status that a restore reverted. Returns the violations of the last minute if none was idle.
 */
async function activity(world: World): Promise<string[]> {
  let wrong: string[] = [];
  for (let tries = 0; tries < MAX_QUIET_ATTEMPTS; tries++) {
    await world.clock.settle(QUIET_MS / 4);
    wrong = await activityInAMinute(world);
    if (wrong.length === 0) break;
  }
  return wrong;
}

async function activityInAMinute(world: World): Promise<string[]> {
  const wrong: string[] = [];
  const before = world.api.store.version;
  const requestsBefore = world.requests;
  let own = 0;
  const leave = world.api.store.subscribe(({ by, where }) => {
    if (by !== '' && !isExpectedWrite(where)) own++;
  });
  await world.clock.settle(QUIET_MS);
  leave();
  if (own > 0) wrong.push(`busy: ${own} writes changed something in a minute (${world.api.store.version - before} versions)`);
  const bound = (2 * 2 * QUIET_MS) / 2_000 + 60;
  if (world.requests - requestsBefore > bound)
    wrong.push(`busy: ${world.requests - requestsBefore} requests in a minute, ${bound} at most`);
  return [...wrong, ...differences(world.api).map((what) => `did not stay: ${what}`)];
}
