import { execFileSync } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describeNamespace } from './namespace.ts';

/** The conditions that affect the results of a run. */
export interface Conditions {
  readonly at: string;
  readonly commit: string;
  readonly cpu: string;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  readonly network: string;
  /** The mean number of runnable tasks in the minute before the run; above 0, other programs use the machine. */
  readonly loadBefore: number;
}

export function conditionsNow(): Conditions {
  const all = cpus();
  return {
    at: new Date().toISOString(),
    commit: output('git', '-C', fileURLToPath(new URL('.', import.meta.url)), 'describe', '--always', '--dirty'),
    cpu: `${all.length} x ${all[0]?.model.trim() ?? 'unknown'}`,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: output('uname', '-sr'),
    node: process.version,
    network: describeNamespace(),
    loadBefore: Math.round(loadavg()[0]! * 100) / 100,
  };
}

export function formatConditions(conditions: Conditions): string {
  const { at, commit, cpu, memoryGib, kernel, node, network, loadBefore } = conditions;
  return `Millrace ${commit}, ${at}\n${cpu}, ${memoryGib} GiB, ${kernel}, Node ${node}\n${network}\nload before the run: ${loadBefore}`;
}

function output(program: string, ...args: string[]): string {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}
