import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Parses a kernel CPU list such as "0-3,8". @throws Error when `list` is not one */
export function parseCpuList(list: string): number[] {
  const cpus: number[] = [];
  for (const part of list.trim().split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (!match) throw new Error(`not a cpu list: "${list}"`);
    for (let cpu = Number(match[1]); cpu <= Number(match[2] ?? match[1]); cpu++) cpus.push(cpu);
  }
  return cpus;
}

/** The cpuset of this process, in the kernel's list format. */
export async function allowedCpuList(): Promise<string> {
  const status = await readFile('/proc/self/status', 'utf8');
  return /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? '0';
}

/**
 * Assigns a CPU to each worker: the last ones of the cpuset, so that the first ones stay free for Node and the relay thread.
 * Undefined when there are fewer CPUs than workers + 1: the kernel's scheduler then does better than two workers pinned to one CPU.
 */
export function planPinning(cpus: readonly number[], workers: number): number[] | undefined {
  return cpus.length > workers ? cpus.slice(cpus.length - workers) : undefined;
}

/** Pins every thread of a process to a CPU. Rejects when taskset(1) is missing or fails. */
export async function pinProcess(pid: number, cpu: number): Promise<void> {
  await run('taskset', ['--all-tasks', '--pid', '--cpu-list', String(cpu), String(pid)]);
}
