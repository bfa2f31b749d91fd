import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** Starts a program of this folder in a child process, whose first message is its UDP port. It ends with this process. */
export async function startChild(name: string, argument: string): Promise<{ pid: number; port: number; stop(): Promise<void> }> {
  const child = fork(fileURLToPath(new URL(`./${name}`, import.meta.url)), [argument]);
  const exited = once(child, 'exit');
  const [port] = (await Promise.race([
    once(child, 'message'),
    exited.then(() => Promise.reject(new Error(`${name} ended before it was ready`))),
  ])) as [number];
  return {
    pid: child.pid!,
    port,
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
