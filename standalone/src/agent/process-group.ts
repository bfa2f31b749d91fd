import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

/** Identifies a process by its number, which the kernel reuses, and its start time in ticks since boot. */
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

/** Starts a process as the leader of its own group, so that its children can be ended with it. */
export function spawnGroup(argv: readonly string[], options: { env: Record<string, string>; cwd: string }): ChildProcess {
  const [file = '', ...args] = argv;
  return spawn(file, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Signals the process alone, as a kubelet signals a container's first process, which ends its own children. */
export function signalLeader(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/** Signals a whole group. False when no process of it is left. */
export function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}

/** Whether any process of the group lives. Children may outlive the leader. */
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
 * Whether a group is still the one that was started: its leader lives, or other processes of it do. While any of them lives, the kernel does not reuse the leader's number. `boot` must be the same.
 */
export function isSameGroup({ pid, startTicks }: ProcessId): boolean {
  const now = startTicksOf(pid);
  return now === undefined ? groupLives(pid) : now === startTicks;
}

/** Changes with each boot, which restarts the numbering of processes. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
