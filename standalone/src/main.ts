import { ConfigError, HelpRequested, loadConfig } from '@millrace/service';
import { UpConfig } from './up/config.ts';

const USAGE = 'usage: main.ts up|down [flags]; main.ts up --help lists the flags';

try {
  const [command, ...argv] = process.argv.slice(2);
  if (command !== 'up' && command !== 'down') throw new ConfigError([USAGE]);
  const config = loadConfig(UpConfig, { argv, env: process.env, envPrefix: 'MILLRACE_' });
  // Loaded on demand: `down` does not need the whole network.
  const run = command === 'up' ? (await import('./up/up.ts')).up : (await import('./up/down.ts')).down;
  process.exitCode = await run(config);
} catch (error) {
  if (error instanceof HelpRequested) process.stdout.write(error.message);
  else process.stderr.write(`millrace: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof HelpRequested ? 0 : error instanceof ConfigError ? 2 : 1;
}
// Resources left over when a part failed to start must not keep the process alive.
setTimeout(() => process.exit(), 1_000).unref();
