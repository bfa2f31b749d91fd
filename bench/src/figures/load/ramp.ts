import { delay } from '../../figure.ts';
import type { Account } from './arrivals.ts';
import type { Audience } from './audience.ts';
import type { NetworkProcess } from './processes.ts';
import { measureUse, type Use } from './use.ts';

const STEP_VIEWERS = 20;
const STEP_MS = 3_000;
/** The share of the viewers that stays in each reduction. */
const KEPT = 0.85;
const TRY_MS = 10_000;
const TRIES = 10;

/** The use of the network with a number of viewers, and the share of their due packets that arrived. */
export interface Step extends Use {
  readonly viewers: number;
  readonly arrived: number;
}

export interface Ramp {
  readonly steps: readonly Step[];
  readonly viewers: number;
  /** The reason why the ramp ended. */
  readonly why: string;
}

export interface Limits {
  /** The share of the machine's CPU that must stay free, 0 to 1. */
  readonly headroom: number;
  /** The share of the due packets that must arrive, 0 to 1. */
  readonly arrived: number;
  readonly max: number;
}

/** Adds viewers until the machine has no more than `headroom` of its CPU left, packets are missing, or there are `max`. */
export async function findViewers(
  audience: Audience,
  processes: () => readonly NetworkProcess[],
  limits: Limits,
  say: (line: string) => void,
): Promise<Ramp> {
  const steps: Step[] = [];
  for (;;) {
    const wanted = Math.min(audience.size + STEP_VIEWERS, limits.max);
    await audience.grow(wanted - audience.size);
    await delay(1_000);
    let step = await measureStep(audience, processes);
    // A single result may be an outlier, or caused by other programs.
    if (limitOf(step, limits)) step = await measureStep(audience, processes);
    steps.push(step);
    const share = (ratio: number) => `${(ratio * 100).toFixed(1)}%`;
    say(`${step.viewers} viewers: ${share(step.machineBusy)} of the CPU, ${share(step.arrived)} of the packets arrived`);
    const refused = audience.size < wanted ? `${wanted - audience.size} more were refused: ${audience.lastFailure}` : undefined;
    const why = limitOf(step, limits) ?? refused;
    if (!why) continue;
    return { steps, viewers: step.viewers, why };
  }
}

/** Removes viewers until the limits hold beside all other clients. Returns the number that stays. */
export async function makeRoom(
  audience: Audience,
  processes: () => readonly NetworkProcess[],
  limits: Limits,
  say: (line: string) => void,
): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const step = await measureStep(audience, processes, TRY_MS);
    const why = limitOf(step, { ...limits, max: Infinity });
    if (!why) break;
    const viewers = Math.floor(audience.wanted * KEPT);
    say(`beside the other clients ${why}: ${viewers} viewers`);
    await audience.shrinkTo(viewers);
    await delay(1_000);
  }
  return audience.wanted;
}

/** Returns the limit that is reached; undefined when there can be more viewers. */
export function limitOf(step: Omit<Step, 'processes'>, limits: Limits): string | undefined {
  if (step.arrived < limits.arrived) return `of ${step.viewers} viewers' packets ${(step.arrived * 100).toFixed(1)}% arrived`;
  if (step.machineBusy > 1 - limits.headroom)
    return `${step.viewers} viewers left ${((1 - step.machineBusy) * 100).toFixed(0)}% of the CPU`;
  if (step.viewers >= limits.max) return `${limits.max} viewers were configured`;
  return undefined;
}

async function measureStep(audience: Audience, processes: () => readonly NetworkProcess[], durationMs = STEP_MS): Promise<Step> {
  const before = sum((await audience.report()).streams);
  const use = await measureUse(processes, durationMs);
  const after = sum((await audience.report()).streams);
  const due = after.due - before.due;
  const arrived = due === 0 ? 1 : Math.min(1, (after.arrived - before.arrived) / due);
  return { viewers: audience.size, arrived, ...use };
}

function sum(accounts: readonly Account[]): { due: number; arrived: number } {
  return accounts.reduce(({ due, arrived }, each) => ({ due: due + each.due, arrived: arrived + each.arrived }), {
    due: 0,
    arrived: 0,
  });
}
