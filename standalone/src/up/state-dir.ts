import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The record of a running network, for `make down` and a second `make up`. */
export interface RunningNetwork {
  readonly pid: number;
  /** Start time of the process in clock ticks since boot (proc(5), stat field 22): distinguishes it from a later process with the same pid. */
  readonly startTicks: string;
  /** How to use it; absent while it starts. */
  readonly use?: NetworkUse;
}

export interface NetworkUse {
  readonly consoleUrl: string;
  readonly controlUrl: string;
  readonly kubeconfig: string;
  readonly edges: readonly { readonly name: string; readonly region: string; readonly roles: readonly string[] }[];
}

/** The process that uses the folder, from its start on. */
const OWNER = 'owner.json';
/** How to use the network, once it is ready. */
const RUNNING = 'running.json';

/** The folder in which a standalone network keeps everything: its store, its logs, its kubeconfig. */
export class StateDir {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  file(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  /** The network that runs or starts from this folder now, if any. */
  running(): RunningNetwork | undefined {
    const owner = read<RunningNetwork>(this.file(OWNER));
    if (!owner || processStart(owner.pid) !== owner.startTicks) return undefined;
    const use = read<NetworkUse & RunningNetwork>(this.file(RUNNING));
    const isOwners = use?.pid === owner.pid && use.startTicks === owner.startTicks;
    if (!isOwners) return owner;
    const { consoleUrl, controlUrl, kubeconfig, edges } = use;
    return { ...owner, use: { consoleUrl, controlUrl, kubeconfig, edges } };
  }

  /**
   * Creates the folder and claims it for this process. Returns the network that already uses it, in which case nothing is claimed.
   * @throws Error naming the folder and the remedy when it cannot be written to.
   */
  claim(): RunningNetwork | undefined {
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o700 });
      while (!this.#take()) {
        const other = this.running();
        if (other) return other;
        this.forget(); // of a network that was killed
      }
      return undefined;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(
        `cannot write to the folder for the network's state (${why}). Make room or give this user the right to write there, or choose another folder: MILLRACE_STATE_DIR=/a/folder make up`,
        { cause: error },
      );
    }
  }

  /** The record appears atomically (link(2)), so that a partial one is never mistaken for that of a killed network. */
  #take(): boolean {
    const draft = this.file(`${OWNER}.${process.pid}`);
    try {
      writeFileSync(draft, JSON.stringify(own()), { mode: 0o600 });
      linkSync(draft, this.file(OWNER));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    } finally {
      rmSync(draft, { force: true });
    }
  }

  /** Records how to use the network, now that it runs. */
  publish(use: NetworkUse): void {
    const draft = this.file(`${RUNNING}.new`);
    writeFileSync(draft, JSON.stringify({ ...own(), ...use }), { mode: 0o600 });
    renameSync(draft, this.file(RUNNING));
  }

  forget(): void {
    for (const name of [RUNNING, OWNER]) rmSync(this.file(name), { force: true });
  }
}

function read<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    return undefined;
  }
}

function own(): RunningNetwork {
  return { pid: process.pid, startTicks: processStart(process.pid) ?? '' };
}

/** When a process started, or undefined if there is none of that pid. */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, the command, may contain spaces and parentheses, so fields are counted after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
