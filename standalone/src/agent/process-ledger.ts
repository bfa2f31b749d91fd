import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Logger } from '@millrace/service';
import type { ProcessId } from './process-group.ts';
import { bootId, isSameGroup, signalGroup, startTicksOf } from './process-group.ts';

/**
 * Records the process groups that the agent runs, in two places: with the guard process, which ends them when the agent dies, and in a file, from which the next agent ends what the guard missed.
 */
export class ProcessLedger {
  readonly #file: string;
  readonly #logger: Logger;
  readonly #running = new Map<number, ProcessId>();
  #guard: ChildProcess | undefined;
  #saveAgain: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(file: string, logger: Logger) {
    this.#file = file;
    this.#logger = logger;
    this.#endOrphans();
    this.#startGuard();
  }

  add(pid: number): void {
    const startTicks = startTicksOf(pid);
    if (startTicks === undefined) return;
    this.#running.set(pid, { pid, startTicks });
    this.#save();
    this.#tellGuard(`+ ${pid} ${startTicks}`);
  }

  remove(pid: number): void {
    if (!this.#running.delete(pid)) return;
    this.#save();
    this.#tellGuard(`- ${pid}`);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#saveAgain);
    this.#guard?.stdin?.end();
  }

  #endOrphans(): void {
    if (!existsSync(this.#file)) return;
    for (const known of parseLedger(readFileSync(this.#file, 'utf8'))) {
      if (!isSameGroup(known)) continue;
      this.#logger.warn({ pid: known.pid }, 'ending a process that an earlier run of the agent left');
      signalGroup(known.pid, 'SIGKILL');
    }
    this.#save();
  }

  #startGuard(): void {
    const script = fileURLToPath(new URL('./guard.ts', import.meta.url));
    const guard = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    guard.stdin.on('error', () => undefined);
    guard.on('error', (error) => this.#logger.error({ err: error }, 'cannot start the guard of pod processes'));
    guard.on('exit', () => {
      if (!this.#closed) setTimeout(() => this.#closed || this.#startGuard(), 1000).unref();
    });
    guard.unref();
    this.#guard = guard;
    for (const { pid, startTicks } of this.#running.values()) this.#tellGuard(`+ ${pid} ${startTicks}`);
  }

  #tellGuard(line: string): void {
    if (this.#guard?.stdin?.writable) this.#guard.stdin.write(`${line}\n`);
  }

  /** A full disk only makes the file incomplete for a while; the process that was just started continues. */
  #save(): void {
    clearTimeout(this.#saveAgain);
    try {
      const ledger: Ledger = { boot: bootId(), processes: [...this.#running.values()] };
      writeFileSync(`${this.#file}.new`, JSON.stringify(ledger), { mode: 0o600 });
      renameSync(`${this.#file}.new`, this.#file);
    } catch (error) {
      this.#logger.warn({ err: error }, 'cannot write down which processes run, trying again');
      if (!this.#closed) this.#saveAgain = setTimeout(() => this.#save(), 2_000).unref();
    }
  }
}

interface Ledger {
  boot: string;
  processes: ProcessId[];
}

/** Processes of this boot. None of an earlier boot is left. */
function parseLedger(text: string): ProcessId[] {
  try {
    const { boot, processes } = JSON.parse(text) as Ledger;
    return boot === bootId() ? processes.filter(({ pid }) => Number.isInteger(pid) && pid > 1) : [];
  } catch {
    return [];
  }
}
