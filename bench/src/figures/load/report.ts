import type { Figure, Table } from '../../figure.ts';
import { median } from '@millrace/testkit';
import type { LiveHeap } from './live-heap.ts';
import type { Panel } from './picture.ts';
import type { Moment, ProcessSample, Recording } from './recording.ts';
import { growthOf, minima, type Growth, type Point } from './slope.ts';

/** Contains more than one garbage collection of each thread. */
const WINDOW_MS = 30_000;
const MIN_WINDOWS = 8;
/** Samples of 2 s each. */
const CPU_SAMPLES = 5;
/** The growth that counts as noise: a minimum in KiB and a share of the level. */
const RSS_NOISE = { min: 1_024, share: 0.01 };
const HEAP_NOISE = { min: 256, share: 0.01 };
const SIZE_NOISE = { min: 0, share: 0.02 };

export interface ProcessGrowth {
  readonly process: string;
  readonly cpu: number;
  /** KiB. */
  readonly rss: Growth;
  readonly descriptors: readonly [first: number, last: number];
  readonly restarts: number;
}

export interface HeapGrowth {
  readonly process: string;
  readonly thread: 'main' | 'relay';
  /** Heap without compiled code, and external memory; in KiB. */
  readonly memory: Growth;
  readonly resources: readonly [first: number, last: number];
}

/** The growth of each process' memory after the warm-up. */
export function processGrowth(recording: Recording, fromMs: number): ProcessGrowth[] {
  return [...recording.processes].flatMap(([process, all]) => {
    const samples = all.filter(({ atMs }) => atMs >= fromMs);
    const [first, last] = [samples[0], samples[samples.length - 1]];
    if (!first || !last) return [];
    const points = samples.map(({ atMs, rssKib }) => ({ atMs, value: rssKib }));
    const rss = grown(points, RSS_NOISE);
    if (!rss) return [];
    return {
      process,
      cpu: cpuOf(samples),
      rss,
      descriptors: [first.descriptors, last.descriptors] as const,
      restarts: new Set(samples.map(({ pid }) => pid)).size - 1,
    };
  });
}

export function heapGrowth(recording: Recording, fromMs: number): HeapGrowth[] {
  return [...recording.heaps].flatMap(([process, threads]) =>
    [...threads].flatMap(([thread, all]) => {
      const heaps = all.filter(({ atMs }) => atMs >= fromMs);
      const memory = grown(
        heaps.map((heap) => ({ atMs: heap.atMs, value: kibOf(heap) })),
        HEAP_NOISE,
      );
      if (!memory) return [];
      const resources = [heaps[0]!.resources, heaps[heaps.length - 1]!.resources] as const;
      return { process, thread: threadOf(thread), memory, resources };
    }),
  );
}

/** The growth of sizes that should be bounded: rows of /metrics, bytes of files. */
export function sizeGrowth(
  recording: Recording,
  fromMs: number,
): { name: string; first: number; last: number; growth: Growth }[] {
  const moments = recording.moments.filter(({ atMs, sizes }) => atMs >= fromMs && Object.keys(sizes).length > 0);
  const names = [...new Set(moments.flatMap(({ sizes }) => Object.keys(sizes)))];
  return names.flatMap((name) => {
    const points = moments.flatMap(({ atMs, sizes }) => (name in sizes ? [{ atMs, value: sizes[name]! }] : []));
    if (points.length < 4) return [];
    return { name, first: points[0]!.value, last: points[points.length - 1]!.value, growth: growthOf(points, SIZE_NOISE) };
  });
}

export function processTable(rows: readonly ProcessGrowth[]): Pick<Figure, 'columns' | 'rows'> {
  return {
    columns: ['process', 'CPU', 'RSS MiB', 'RSS KiB/min (95%)', 'RSS', 'descriptors', 'restarts'],
    rows: rows.map(({ process, cpu, rss, descriptors, restarts }) => [
      process,
      Number(cpu.toFixed(3)),
      Number((rss.level / 1_024).toFixed(1)),
      formatSlope(rss),
      formatVerdict(rss),
      descriptors.join(' to '),
      restarts,
    ]),
  };
}

export function heapTable(rows: readonly HeapGrowth[]): Table {
  return {
    title: 'Live heap (without compiled code) and external memory after garbage collection',
    columns: ['process', 'thread', 'MiB', 'KiB/min (95%)', 'heap', 'resources'],
    rows: rows.map(({ process, thread, memory, resources }) => [
      process,
      thread,
      Number((memory.level / 1_024).toFixed(1)),
      formatSlope(memory),
      formatVerdict(memory),
      resources.join(' to '),
    ]),
  };
}

export function sizeTable(rows: ReturnType<typeof sizeGrowth>): Table {
  return {
    title: 'Other sizes',
    columns: ['what', 'first', 'last', 'a minute', 'size'],
    rows: rows.map(({ name, first, last, growth }) => [name, first, last, growth.perMinute.slope, growth.verdict]),
  };
}

export function panelsOf({ processes, heaps, moments }: Recording): Panel[] {
  const mib = (kib: number) => kib / 1_024;
  const everyProcess = (pointsOf: (samples: readonly ProcessSample[]) => Point[]) =>
    [...processes].map(([name, samples]) => ({ name, points: pointsOf(samples) }));
  const heapsOf = (thread: HeapGrowth['thread']) =>
    [...heaps].flatMap(([name, threads]) =>
      [...threads]
        .filter(([id]) => threadOf(id) === thread)
        .map(([, all]) => ({ name, points: all.map((heap) => ({ atMs: heap.atMs, value: mib(kibOf(heap)) })) })),
    );
  return [
    {
      title: 'Resident memory, MiB',
      series: everyProcess((samples) => samples.map(({ atMs, rssKib }) => ({ atMs, value: mib(rssKib) }))),
    },
    { title: 'Live heap and external memory of the main threads after garbage collection, MiB', series: heapsOf('main') },
    { title: 'The same of the relay threads, MiB', series: heapsOf('relay') },
    { title: 'CPU, cores, mean of 10 s', series: everyProcess((samples) => cpuOver(samples, CPU_SAMPLES)) },
    {
      title: 'Plain viewers',
      series: [{ name: 'there', points: moments.map(({ atMs, viewers }) => ({ atMs, value: viewers })) }],
    },
    { title: 'Packets missing of the viewers there, in 2 s', series: [{ name: 'missing', points: missing(moments) }] },
  ];
}

/** The missing packets since the previous sample. A negative difference, from a count that lags, is 0. */
function missing(moments: readonly Moment[]): Point[] {
  const total = ({ streams }: Moment) => streams.reduce((sum, { due, arrived }) => sum + due - arrived, 0);
  return moments.slice(1).map((moment, i) => ({ atMs: moment.atMs, value: Math.max(0, total(moment) - total(moments[i]!)) }));
}

function grown(points: readonly Point[], noise: { min: number; share: number }): Growth | undefined {
  if (points.length < MIN_WINDOWS) return undefined;
  const spanMs = points[points.length - 1]!.atMs - points[0]!.atMs;
  const windows = minima(points, Math.min(WINDOW_MS, spanMs / MIN_WINDOWS));
  return windows.length < 4 ? undefined : growthOf(windows, noise);
}

/** A media node has one thread besides the main thread. */
function threadOf(id: string): HeapGrowth['thread'] {
  return id === '0' ? 'main' : 'relay';
}

function kibOf({ heapUsed, code, external }: LiveHeap): number {
  return (heapUsed - code + external) / 1_024;
}

function cpuOf(samples: readonly ProcessSample[]): number {
  const rates = cpuOver(samples, 1).map(({ value }) => value);
  return rates.length === 0 ? 0 : median(rates);
}

/** CPU seconds per second over `count` samples; no point where a process was replaced. */
function cpuOver(samples: readonly ProcessSample[], count: number): Point[] {
  return samples.slice(count).flatMap((sample, i) => {
    const before = samples[i]!;
    if (sample.pid !== before.pid) return [];
    return [{ atMs: sample.atMs, value: ((sample.cpuSeconds - before.cpuSeconds) / (sample.atMs - before.atMs)) * 1_000 }];
  });
}

function formatSlope({ perMinute: { slope, low, high } }: Growth): string {
  const round = (value: number) => (Math.round(value) || 0).toLocaleString('en');
  return `${round(slope)} (${round(low)} to ${round(high)})`;
}

function formatVerdict({ verdict, grownBy }: Growth): string {
  if (verdict === 'flat') return 'flat';
  return `${verdict} by ${(Math.abs(grownBy) / 1_024).toFixed(1)} MiB`;
}
