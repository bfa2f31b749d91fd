import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { ExecAnswer, ExecRequest } from './exec-client.ts';

// Runs as a separate process: executes one command for each line of stdin and reports on stdout whether it succeeded.
// Ends when stdin closes.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => run(JSON.parse(line) as ExecRequest));
lines.on('close', () => process.exit(0));

function run({ id, argv: [file = '', ...args], env, cwd, timeoutMs }: ExecRequest): void {
  const child = spawn(file, args, { env, cwd, stdio: 'ignore', timeout: timeoutMs, killSignal: 'SIGKILL' });
  const answer = (ok: boolean) => process.stdout.write(`${JSON.stringify({ id, ok } satisfies ExecAnswer)}\n`);
  child.on('error', () => answer(false));
  child.on('exit', (code) => answer(code === 0));
}
