import { readdirSync, readFileSync } from 'node:fs';

/** What other processes on the machine can see of a process. */
export interface ShownProcess {
  readonly pid: number;
  readonly commandLine: string;
  readonly environment: string;
  /** Limits on core files, in bytes or `unlimited`. */
  readonly coreLimit: string;
}

/** A process and all its descendants. */
export function processTree(root: number): ShownProcess[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It ended meanwhile.
    }
  }
  const isOfTree = (pid: number): boolean => pid === root || (parents.has(pid) && isOfTree(parents.get(pid)!));
  return [...parents.keys()].filter(isOfTree).flatMap((pid) => {
    try {
      const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'utf8');
      const coreLimit = /^Max core file size\s+(\S+)/m.exec(read('limits'))?.[1] ?? '';
      return [{ pid, commandLine: read('cmdline').replaceAll('\0', ' '), environment: read('environ'), coreLimit }];
    } catch {
      return [];
    }
  });
}
