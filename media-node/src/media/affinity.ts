import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** "0-3,8" as numbers. @throws Error when it is no cpu list. */
export function parseCpuList(list: string): number[] {
  const cpus: number[] = [];
  for (const part of list.trim().split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (!match) throw new Error(`not a cpu list: "${list}"`);
    for (let cpu = Number(match[1]); cpu <= Number(match[2] ?? match[1]); cpu++) cpus.push(cpu);
  }
  return cpus;
}

/** The cpuset that this process runs in, as the kernel writes it. */
export async function allowedCpuList(): Promise<string> {
  const status = await readFile('/proc/self/status', 'utf8');
  return /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? '0';
}

/**
 * Which CPU each worker gets: the last ones of the cpuset, one each, so that the first ones stay for Node and the relay thread.
 * Undefined where there are fewer CPUs than workers + 1: sharing by the kernel's scheduler is better than two workers on one CPU.
 */
export function planPinning(cpus: readonly number[], workers: number): number[] | undefined {
  return cpus.length > workers ? cpus.slice(cpus.length - workers) : undefined;
}

/** Pins every thread of a process. Rejects where taskset(1) is missing or refuses. */
export async function pinProcess(pid: number, cpu: number): Promise<void> {
  await run('taskset', ['--all-tasks', '--pid', '--cpu-list', String(cpu), String(pid)]);
}
