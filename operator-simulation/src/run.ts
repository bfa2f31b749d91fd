import { Chance } from './chance.ts';
import { differences } from './properties.ts';
import { writeScript, type Script } from './script.ts';
import { World } from './world.ts';

export interface Result {
  /** What went wrong; nothing when all is well. */
  violations: string[];
  requests: number;
  /** Virtual time until everything was as the specs say, after the faults ended. */
  convergedMs: number;
  /** What happened in the store that operators did not do, and faults. */
  events: number;
  elapsedMs: number;
}

/** Until a silent watch is noticed (130 s), a back-off is over (60 s), and a drain has timed out (60 s), one after the other and twice. */
const CONVERGE_MS = 600_000;
const LOOK_MS = 5_000;
const QUIET_MS = 60_000;
/** The last news comes from control, which writes each status anew within five minutes. */
const QUIET_TRIES = 6;

export function scriptOf(seed: number): Script {
  return writeScript(seed, new Chance(seed));
}

/** Plays a script, ends all faults, and waits for peace. */
export async function play(script: Script): Promise<Result> {
  const world = new World(script);
  let events = script.steps.length;
  world.api.store.subscribe(() => events++);
  await world.run(script.steps);
  await world.endFaults();
  const healedMs = world.clock.now();
  const { violations } = world.watchdog;
  let left = remaining(world);
  while (left.length > 0 && world.clock.now() - healedMs < CONVERGE_MS && violations.length === 0) {
    await world.clock.settle(LOOK_MS);
    world.api.collectGarbage();
    left = remaining(world);
  }
  const convergedMs = world.clock.now() - healedMs;
  if (violations.length === 0) violations.push(...left.map((what) => `not converged: ${what}`));
  if (violations.length === 0) violations.push(...(await unrest(world)));
  const requests = world.requests;
  const elapsedMs = world.clock.now();
  // Also while all goes wrong nothing is asked for in a loop: seen are 1.2 an event beside Leases and watches at most.
  const bound = 3 * events + (2 * elapsedMs) / 1_000 + 100;
  if (requests > bound) violations.push(`busy: ${requests} requests for ${events} events in ${elapsedMs} ms, ${bound} at most`);
  violations.push(...(await world.end()));
  return { violations, requests, convergedMs, events, elapsedMs };
}

/** The Lease, Events that waited for their turn, and a budget that somebody deleted, which is missed within five minutes. */
function isUnhurried({ collection }: { collection: string }): boolean {
  return ['/leases', '/events', '/poddisruptionbudgets'].some((kind) => collection.endsWith(kind));
}

function remaining(world: World): string[] {
  return world.isStaffed ? differences(world.api) : ['no operator leads'];
}

/**
 * Some time after it has converged nothing but Leases and watches is asked for any more: there is a quiet minute. News may come before it: what a
 * silent watch hid, a node that gets up, what a restore undid of a status. What was wrong in the last minute looked at, when none was quiet.
 */
async function unrest(world: World): Promise<string[]> {
  let wrong: string[] = [];
  for (let tries = 0; tries < QUIET_TRIES; tries++) {
    await world.clock.settle(QUIET_MS / 4);
    wrong = await unrestInAMinute(world);
    if (wrong.length === 0) break;
  }
  return wrong;
}

async function unrestInAMinute(world: World): Promise<string[]> {
  const wrong: string[] = [];
  const before = world.api.store.version;
  const asked = world.requests;
  let own = 0;
  const leave = world.api.store.subscribe(({ by, where }) => {
    if (by !== '' && !isUnhurried(where)) own++;
  });
  await world.clock.settle(QUIET_MS);
  leave();
  if (own > 0) wrong.push(`busy: ${own} writes changed something in a minute (${world.api.store.version - before} versions)`);
  const bound = (2 * 2 * QUIET_MS) / 2_000 + 60;
  if (world.requests - asked > bound) wrong.push(`busy: ${world.requests - asked} requests in a minute, ${bound} at most`);
  return [...wrong, ...differences(world.api).map((what) => `did not stay: ${what}`)];
}
