import { readFile } from 'node:fs/promises';
import type { Clock } from '@millrace/service';
import type { Session } from './sessions/index.ts';

/** How many transports are sampled each second. Each sample costs CPU in this process and in the worker. */
const SAMPLED_SESSIONS = 16;
/** How long a session's own sample is used. Afterwards the session gets the mean of its stream. */
const FRESH_MS = 10_000;
/** Kernel clock ticks a second in /proc/PID/stat; fixed by Linux' user-space ABI. */
const TICKS_PER_SECOND = 100;

/** CPU and traffic of this node, sampled once a second. */
export class LoadMeter {
  readonly #clock: Clock;
  readonly #cores: number;
  #cpu: { atMs: number; usedMs: number } | undefined;
  #next = 0;
  readonly #measuredMs = new WeakMap<Session, number>();
  cpuPercent = 0;

  /** @param cores CPUs that count as 100% */
  constructor(clock: Clock, cores: number) {
    this.#clock = clock;
    this.#cores = cores;
  }

  /** CPU time of this process with its threads, and of the workers, since the last call. */
  async sampleCpu(workerPids: readonly number[]): Promise<number> {
    const { user, system } = process.cpuUsage();
    const workers = await Promise.all(workerPids.map(cpuMsOf));
    const usedMs = (user + system) / 1000 + workers.reduce((sum, ms) => sum + ms, 0);
    const atMs = this.#clock.now();
    const before = this.#cpu;
    this.#cpu = { atMs, usedMs };
    if (before && atMs > before.atMs) {
      const percent = (100 * (usedMs - before.usedMs)) / ((atMs - before.atMs) * this.#cores);
      this.cpuPercent = Math.min(100, Math.max(0, percent));
    }
    return this.cpuPercent;
  }

  /** Measures some sessions, round robin; those whose turn is long ago take the mean of those that play, or publish, the same stream. */
  async sampleRates(sessions: readonly Session[]): Promise<void> {
    const nowMs = this.#clock.now();
    const start = this.#next % Math.max(1, sessions.length);
    const sample = [...sessions.slice(start, start + SAMPLED_SESSIONS), ...sessions.slice(0, start)].slice(0, SAMPLED_SESSIONS);
    this.#next = start + sample.length;
    await Promise.all(
      sample.map(async (session) => {
        const transport = session.transport;
        if (!transport || transport.closed) return;
        const stats = await transport.getStats().catch(() => []);
        session.rates = { receiveBps: stats[0]?.recvBitrate ?? 0, sendBps: stats[0]?.sendBitrate ?? 0 };
        this.#measuredMs.set(session, nowMs);
      }),
    );
    if (sessions.length > SAMPLED_SESSIONS) this.#estimateOthers(sessions, nowMs);
  }

  #estimateOthers(sessions: readonly Session[], nowMs: number): void {
    const groups = new Map<string, { fresh: Rates[]; stale: Session[] }>();
    for (const session of sessions) {
      const key = `${session.kind} ${session.stream}`;
      const group = groups.get(key) ?? { fresh: [], stale: [] };
      groups.set(key, group);
      if (nowMs - (this.#measuredMs.get(session) ?? -Infinity) <= FRESH_MS) group.fresh.push(session.rates);
      else group.stale.push(session);
    }
    for (const { fresh, stale } of groups.values()) {
      if (fresh.length === 0) continue;
      const rates = { receiveBps: mean(fresh, 'receiveBps'), sendBps: mean(fresh, 'sendBps') };
      for (const session of stale) session.rates = rates;
    }
  }
}

type Rates = Session['rates'];

function mean(all: readonly Rates[], of: keyof Rates): number {
  return all.reduce((sum, rates) => sum + rates[of], 0) / all.length;
}

async function cpuMsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // Fields after the command name in parentheses: state is the 3rd field of proc(5), utime the 14th, stime the 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * 1000) / TICKS_PER_SECOND;
}
