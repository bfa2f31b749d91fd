import { cpuSecondsOf } from './cpu-time.ts';

export interface Window {
  readonly seconds: number;
  readonly packets: number;
  /** By the name of the process. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
}

/** Measures the CPU time of processes and the number of packets that arrive in a period. */
export async function measureWindow(
  seconds: number,
  pids: Readonly<Record<string, number>>,
  packets: () => number,
): Promise<Window> {
  const read = () => ({
    atMs: performance.now(),
    packets: packets(),
    cpu: Object.entries(pids).map(([name, pid]) => [name, cpuSecondsOf(pid)] as const),
  });
  const before = read();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const after = read();
  return {
    seconds: (after.atMs - before.atMs) / 1000,
    packets: after.packets - before.packets,
    cpuSeconds: Object.fromEntries(after.cpu.map(([name, cpu], i) => [name, cpu - before.cpu[i]![1]])),
  };
}

export function totalCpuSeconds(window: Window): number {
  return Object.values(window.cpuSeconds).reduce((sum, each) => sum + each, 0);
}

export function packetsPerCpuSecond(window: Window): number {
  return window.packets / totalCpuSeconds(window);
}
