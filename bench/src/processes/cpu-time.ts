import { readFileSync, readdirSync } from 'node:fs';

/** Clock ticks per second in /proc/PID/stat, fixed by the user-space ABI of Linux. */
const TICKS_PER_SECOND = 100;

export interface ProcessStat {
  /** As in proc(5): R, S, D, Z, … */
  readonly state: string;
  readonly parent: number;
  /** User and system time of all threads, including ended ones. */
  readonly cpuSeconds: number;
}

/** @throws Error when `text` is not a /proc/PID/stat file (proc(5)) */
export function parseStat(text: string): ProcessStat {
  // The command, in parentheses, may contain spaces and parentheses, so the other fields start after the last parenthesis.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [parent, user, system] = [fields[1], fields[11], fields[12]].map(Number);
  if (!Number.isInteger(parent) || !Number.isInteger(user) || !Number.isInteger(system))
    throw new Error(`no process statistics: ${text.slice(0, 80)}`);
  return { state: fields[0]!, parent: parent!, cpuSeconds: (user! + system!) / TICKS_PER_SECOND };
}

/** CPU time of a process since its start, in seconds, to 0.01. @throws Error when there is no such process */
export function cpuSecondsOf(pid: number): number {
  return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8')).cpuSeconds;
}

/** Whether the process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8')).state !== 'Z';
  } catch {
    return false;
  }
}

export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((each) => {
      try {
        return parseStat(readFileSync(`/proc/${each}/stat`, 'utf8')).parent === pid;
      } catch {
        return false; // It ended meanwhile.
      }
    });
}
