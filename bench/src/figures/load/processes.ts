import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { childrenOf, cpuSecondsOf } from '../../processes/cpu-time.ts';
import type { LiveHeap } from './live-heap.ts';

/** A process of the network. `name` persists when the process is replaced. */
export interface NetworkProcess {
  readonly pid: number;
  readonly name: string;
}

/** The kernel's statistics of a process. */
export interface ProcessReading {
  readonly rssKib: number;
  /** Resident memory that is not mapped from files. */
  readonly anonymousKib: number;
  readonly cpuSeconds: number;
  readonly descriptors: number;
  readonly threads: number;
}

/** Returns the network's own process, its media nodes and their media workers. `edgeOf` names the edge of a node and its number in it. */
export function processesOf(network: number, edgeOf: (node: string) => string): NetworkProcess[] {
  const nodes = childrenOf(network).flatMap((pid) => {
    const node = /^millrace-media-node (\S+)$/.exec(commandOf(pid))?.[1];
    return node === undefined ? [] : [{ pid, name: edgeOf(node) }];
  });
  const workers = nodes.flatMap(({ pid, name }) =>
    childrenOf(pid).map((child, i) => ({ pid: child, name: `${name} worker${i === 0 ? '' : ` ${i + 1}`}` })),
  );
  const parts = { pid: network, name: 'operator, control, API' };
  return [parts, ...nodes, ...workers].sort((a, b) => (a === parts ? -1 : b === parts ? 1 : a.name < b.name ? -1 : 1));
}

/** Returns undefined when the process has ended. */
export function readProcess(pid: number): ProcessReading | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
    return {
      rssKib: field('VmRSS'),
      anonymousKib: field('RssAnon'),
      cpuSeconds: cpuSecondsOf(pid),
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      threads: field('Threads'),
    };
  } catch {
    return undefined;
  }
}

/** Returns the recorded live heaps of a process by thread; the main thread is '0'. */
export function liveHeapsOf(folder: string, pid: number): Map<string, LiveHeap[]> {
  const files = readdirSync(folder).filter((name) => name.startsWith(`${pid}-`));
  return new Map(
    files.map((name) => {
      const lines = readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1);
      return [/-(\d+)\./.exec(name)?.[1] ?? name, lines.map((line) => JSON.parse(line) as LiveHeap)];
    }),
  );
}

/** The busy and total CPU time of the machine since boot, in ticks (proc(5), /proc/stat). */
export function machineCpu(): { busy: number; all: number } {
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0]!.trim().split(/\s+/).slice(1, 9).map(Number);
  const all = fields.reduce((sum, ticks) => sum + ticks, 0);
  return { all, busy: all - fields[3]! - fields[4]! };
}

/** The total size of all files below a folder, in bytes. */
export function sizeOf(folder: string): number {
  return readdirSync(folder, { withFileTypes: true, recursive: true }).reduce((sum, entry) => {
    try {
      return entry.isFile() ? sum + statSync(join(entry.parentPath, entry.name)).size : sum;
    } catch {
      return sum; // It was removed meanwhile.
    }
  }, 0);
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}
