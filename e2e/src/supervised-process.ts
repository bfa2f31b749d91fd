import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync, closeSync } from 'node:fs';

/** A program that a test started. It ends with the test's process, even when that is killed. */
export interface SupervisedProcess {
  readonly pid: number;
  /** Undefined while it runs; otherwise how it ended, with the end of its log. */
  ended(): string | undefined;
  /** Sends SIGTERM, and SIGKILL after `graceMs`; resolves when it has ended. */
  stop(graceMs?: number): Promise<void>;
  kill(): Promise<void>;
}

/** Starts a program in the background with stdout and stderr in `logFile`; rejects when it cannot be started. */
export async function startProcess(
  program: string,
  args: readonly string[],
  logFile: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<SupervisedProcess> {
  const log = openSync(logFile, 'a');
  // The kernel ends the child when this process ends (prctl(2), PR_SET_PDEATHSIG). setpriv execs the program, so the pid is the program's.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], { stdio: ['ignore', log, log], env });
  closeSync(log);
  const exited = once(child, 'exit');
  await once(child, 'spawn');

  const running = (): boolean => child.exitCode === null && child.signalCode === null;
  const kill = async (): Promise<void> => {
    if (running()) child.kill('SIGKILL');
    await exited;
  };
  return {
    pid: child.pid ?? 0,
    kill,
    ended: () => {
      if (running()) return undefined;
      const tail = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-8).join('\n');
      return `${program} ended with ${child.exitCode ?? child.signalCode}:\n${tail}`;
    },
    stop: async (graceMs = 10_000) => {
      if (running()) child.kill('SIGTERM');
      const timer = setTimeout(() => void kill(), graceMs);
      await exited;
      clearTimeout(timer);
    },
  };
}
