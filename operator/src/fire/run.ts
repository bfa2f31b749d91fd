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
/** A mesh looks at which replicas of control are alive every 30 s: a Lease that is renewed wakes nobody. */
const RECHECK_MS = 30_000;
const SILENCE_MS = 140_000 + RECHECK_MS;
const REFRESH_MS = 330_000;
const LOOK_MS = 5_000;
const QUIET_MS = 60_000;

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
  const noticedMs = newsWithinMs(script) - convergedMs;
  if (noticedMs > 0 && violations.length === 0) await world.clock.settle(noticedMs);
  if (violations.length === 0) await stayQuiet(world, violations);
  const requests = world.requests;
  const elapsedMs = world.clock.now();
  // Also while all goes wrong nothing is asked for in a loop: seen are 1.2 an event beside Leases and watches at most.
  const bound = 3 * events + (2 * elapsedMs) / 1_000 + 100;
  if (requests > bound) violations.push(`busy: ${requests} requests for ${events} events in ${elapsedMs} ms, ${bound} at most`);
  violations.push(...(await world.end()));
  return { violations, requests, convergedMs, events, elapsedMs };
}

/** What a silent watch hid from a cache is news once the silence is noticed; what a restore undid of a status, when control refreshes it. */
function newsWithinMs({ steps }: Script): number {
  if (steps.some((step) => step.do === 'restore')) return REFRESH_MS;
  if (steps.some((step) => step.do === 'silence')) return SILENCE_MS;
  // A node that stumbles in the end still has to get up.
  return Math.max(0, ...steps.map((step) => (step.do === 'stumble' ? step.ms : 0)));
}

/** The Lease, Events that waited for their turn, and a budget that somebody deleted, which is missed within five minutes. */
function isUnhurried({ collection }: { collection: string }): boolean {
  return ['/leases', '/events', '/poddisruptionbudgets'].some((kind) => collection.endsWith(kind));
}

function remaining(world: World): string[] {
  return world.isStaffed ? differences(world.api) : ['no operator leads'];
}

/** Afterwards nothing but Leases and watches may be asked for. */
async function stayQuiet(world: World, violations: string[]): Promise<void> {
  await world.clock.settle(10_000 + RECHECK_MS);
  const before = world.api.store.version;
  const asked = world.requests;
  let own = 0;
  const leave = world.api.store.subscribe(({ by, where }) => {
    if (by !== '' && !isUnhurried(where)) own++;
  });
  await world.clock.settle(QUIET_MS);
  leave();
  if (own > 0)
    violations.push(`busy: ${own} writes changed something in a quiet minute (${world.api.store.version - before} versions)`);
  const bound = (2 * 2 * QUIET_MS) / 2_000 + 60;
  if (world.requests - asked > bound)
    violations.push(`busy: ${world.requests - asked} requests in a quiet minute, ${bound} at most`);
  violations.push(...differences(world.api).map((what) => `did not stay: ${what}`));
}
