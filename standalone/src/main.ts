import { fileURLToPath } from 'node:url';
import { ConfigError, HelpRequested, loadConfig } from '@millrace/service';
import { z } from 'zod';

const Config = z.object({
  stateDir: z
    .string()
    .default(fileURLToPath(new URL('../../.millrace', import.meta.url)))
    .describe('Folder of the network: its store, logs and kubeconfig'),
  host: z.string().default('127.0.0.1').describe('Address on which the API, control and the console listen'),
  apiPort: z.number().int().min(0).max(65535).default(7443).describe('TCP port of the Kubernetes API'),
  controlPort: z.number().int().min(0).max(65535).default(7080).describe('TCP port of control'),
  consolePort: z.number().int().min(0).max(65535).default(7000).describe('TCP port of the console'),
  source: z
    .string()
    .default('')
    .describe('What to publish as live/demo: a media file, "none", or empty for a moving picture with a clock'),
  manifest: z.string().default('').describe('Resources to create at the first start instead of examples/laptop/network.yaml'),
  kubeconfig: z.string().default('').describe('Use the Kubernetes API of this kubeconfig in place of the embedded one'),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least level written to the log file'),
});
export type UpConfig = z.infer<typeof Config>;

const USAGE = 'usage: main.ts up|down [flags]; main.ts up --help lists the flags';

try {
  const [command, ...argv] = process.argv.slice(2);
  if (command !== 'up' && command !== 'down') throw new ConfigError([USAGE]);
  const config = loadConfig(Config, { argv, env: process.env, envPrefix: 'MILLRACE_' });
  // Each alone: `down` need not load a whole network.
  const run = command === 'up' ? (await import('./up/up.ts')).up : (await import('./up/down.ts')).down;
  process.exitCode = await run(config);
} catch (error) {
  if (error instanceof HelpRequested) process.stdout.write(error.message);
  else process.stderr.write(`millrace: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof HelpRequested ? 0 : error instanceof ConfigError ? 2 : 1;
}
// What could not be ended in order, after a part that failed to start, does not keep the process.
setTimeout(() => process.exit(), 1_000).unref();
