import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a running network tells of itself, for `make down` and a second `make up`. */
export interface RunningNetwork {
  readonly pid: number;
  /** Start time of the process in clock ticks since boot (proc(5), stat field 22): tells it from a later process of the same pid. */
  readonly startTicks: string;
  readonly consoleUrl: string;
  readonly kubeconfig: string;
}

/** The folder in which a standalone network keeps everything: its store, its logs, its kubeconfig. */
export class StateDir {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    mkdirSync(path, { recursive: true, mode: 0o700 });
  }

  file(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  /** The network that runs from this folder now, if any. */
  running(): RunningNetwork | undefined {
    try {
      const record = JSON.parse(readFileSync(this.#record, 'utf8')) as RunningNetwork;
      return processStart(record.pid) === record.startTicks ? record : undefined;
    } catch {
      return undefined;
    }
  }

  record(network: Omit<RunningNetwork, 'pid' | 'startTicks'>): void {
    const record: RunningNetwork = { pid: process.pid, startTicks: processStart(process.pid) ?? '', ...network };
    const draft = `${this.#record}.${process.pid}`;
    writeFileSync(draft, JSON.stringify(record), { mode: 0o600 });
    renameSync(draft, this.#record);
  }

  forget(): void {
    rmSync(this.#record, { force: true });
  }

  get #record(): string {
    return this.file('running.json');
  }
}

/** When a process started, or undefined if there is none of that pid. */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, the command, may hold spaces and parentheses; the rest counts from after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
