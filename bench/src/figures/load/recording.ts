import { setTimeout as wait } from 'node:timers/promises';
import type { Account } from './arrivals.ts';
import type { AudienceReport } from './audience-sink.ts';
import type { LiveHeap } from './live-heap.ts';
import { liveHeapsOf, machineCpu, readProcess, type NetworkProcess, type ProcessReading } from './processes.ts';

const SAMPLE_MS = 2_000;

export interface ProcessSample extends ProcessReading {
  readonly atMs: number;
  readonly pid: number;
}

/** One sample of the whole run. Times are wall clock ms, because other processes record their live heaps. */
export interface Moment {
  readonly atMs: number;
  readonly viewers: number;
  readonly silent: number;
  /** The counts of each stream since the start. */
  readonly streams: readonly Account[];
  /** The share of the machine's CPU in use since the previous sample, 0 to 1. */
  readonly machineBusy: number;
  /** Sizes that must be bounded, by name, such as the number of metrics of a process or the size of a file. */
  readonly sizes: Readonly<Record<string, number>>;
}

/** All samples of a run. */
export interface Recording {
  readonly moments: Moment[];
  /** By the name of the process; a replacement continues the samples of its name. */
  readonly processes: Map<string, ProcessSample[]>;
  /** By the name of the process, then by thread. */
  readonly heaps: Map<string, Map<string, LiveHeap[]>>;
}

export interface Watched {
  readonly processes: () => readonly NetworkProcess[];
  readonly heapFolder: string;
  readonly audience: () => Promise<AudienceReport>;
  readonly viewers: () => number;
  /** Slower to read, so sampled less often. */
  readonly sizes: () => Promise<Record<string, number>>;
}

const SIZES_EVERY = 10;

/** Samples everything every 2 s until the signal aborts. */
export async function record(watched: Watched, signal: AbortSignal): Promise<Recording> {
  const recording: Recording = { moments: [], processes: new Map(), heaps: new Map() };
  const pids = new Map<string, Set<number>>();
  let cpu = machineCpu();
  for (let i = 0; !signal.aborted; i++) {
    const { streams, silent } = await watched.audience();
    const before = cpu;
    cpu = machineCpu();
    const machineBusy = cpu.all > before.all ? (cpu.busy - before.busy) / (cpu.all - before.all) : 0;
    const sizes = i % SIZES_EVERY === 0 ? await watched.sizes().catch(() => ({})) : {}; // A node may be down.
    recording.moments.push({ atMs: Date.now(), viewers: watched.viewers(), silent, streams, machineBusy, sizes });
    for (const { pid, name } of watched.processes()) {
      const reading = readProcess(pid);
      if (!reading) continue;
      push(recording.processes, name, { atMs: Date.now(), pid, ...reading });
      pids.set(name, (pids.get(name) ?? new Set()).add(pid));
    }
    await wait(SAMPLE_MS, undefined, { signal }).catch(() => undefined);
  }
  for (const [name, all] of pids)
    for (const pid of all)
      for (const [thread, heaps] of liveHeapsOf(watched.heapFolder, pid)) {
        const threads = recording.heaps.get(name) ?? new Map<string, LiveHeap[]>();
        threads.set(thread, [...(threads.get(thread) ?? []), ...heaps]);
        recording.heaps.set(name, threads);
      }
  return recording;
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const known = map.get(key);
  if (known) known.push(value);
  else map.set(key, [value]);
}
