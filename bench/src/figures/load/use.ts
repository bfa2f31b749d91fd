import { delay } from '../../figure.ts';
import { machineCpu, readProcess, type NetworkProcess } from './processes.ts';

/** The use of resources over a period. */
export interface Use {
  /** The share of the machine's CPU that all programs used, 0 to 1. */
  readonly machineBusy: number;
  /** By the name of the process; CPU in seconds per second. */
  readonly processes: Readonly<Record<string, { readonly cpu: number; readonly rssKib: number }>>;
}

export async function measureUse(processes: () => readonly NetworkProcess[], durationMs: number): Promise<Use> {
  const read = () => ({
    atMs: performance.now(),
    machine: machineCpu(),
    processes: new Map(processes().map(({ name, pid }) => [name, readProcess(pid)])),
  });
  const before = read();
  await delay(durationMs);
  const after = read();
  const seconds = (after.atMs - before.atMs) / 1_000;
  const used = [...after.processes].flatMap(([name, reading]) => {
    const earlier = before.processes.get(name);
    if (!reading || !earlier) return [];
    return [[name, { cpu: (reading.cpuSeconds - earlier.cpuSeconds) / seconds, rssKib: reading.rssKib }] as const];
  });
  const machineBusy = (after.machine.busy - before.machine.busy) / Math.max(1, after.machine.all - before.machine.all);
  return { machineBusy, processes: Object.fromEntries(used) };
}

/** The total use of the processes whose name matches the pattern. */
export function useOf({ processes }: Use, pattern: RegExp): { cpu: number; rssMib: number } {
  const matching = Object.entries(processes).filter(([name]) => pattern.test(name));
  return {
    cpu: matching.reduce((sum, [, { cpu }]) => sum + cpu, 0),
    rssMib: matching.reduce((sum, [, { rssKib }]) => sum + rssKib / 1_024, 0),
  };
}
