import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

/** A process by more than its number, which the kernel uses again: when it started, in ticks since boot. */
export interface ProcessId {
  pid: number;
  startTicks: string;
}

/** Field 22 of /proc/PID/stat (proc(5)); undefined when there is no such process. */
export function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Starts a process as the leader of its own group, so that whatever it starts can be ended with it. */
export function spawnGroup(argv: readonly string[], options: { env: Record<string, string>; cwd: string }): ChildProcess {
  const [file = '', ...args] = argv;
  return spawn(file, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Signals the process alone, as a kubelet signals a container's first process: what it has started it ends itself, in its own order. */
export function signalLeader(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/** Signals a whole group; false when none of it is left. */
export function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}

/** Whether any process of the group lives: the leader's own pid may be gone while its children go on. */
export function groupLives(pid: number): boolean {
  return readdirSync('/proc').some((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return group === String(pid) && state !== 'Z';
    } catch {
      return false;
    }
  });
}

/**
 * Whether a group is still the one that was started: its leader lives, or is gone while others of it live on. While any does, the kernel
 * gives the leader's number to nobody else; `boot` has to be the same, of course.
 */
export function isSameGroup({ pid, startTicks }: ProcessId): boolean {
  const now = startTicksOf(pid);
  return now === undefined ? groupLives(pid) : now === startTicks;
}

/** Changes with each boot, after which all process numbers are given anew. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
