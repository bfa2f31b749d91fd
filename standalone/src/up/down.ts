import type { UpConfig } from './config.ts';
import { StateDir, processStart } from './state-dir.ts';

/** Nodes with viewers get a few seconds to send `move` notices before everything ends. */
const PATIENCE_MS = 40_000;

/** Stops the network of this folder and waits until it is gone. Returns the exit code. */
export async function down(config: UpConfig): Promise<number> {
  const running = new StateDir(config.stateDir).running();
  if (!running) {
    process.stderr.write('millrace: nothing runs here\n');
    return 0;
  }
  process.stderr.write('millrace: stopping … ');
  process.kill(running.pid, 'SIGTERM');
  const isGone = () => processStart(running.pid) !== running.startTicks;
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until && !isGone();)
    await new Promise((resolve) => setTimeout(resolve, 100));
  if (!isGone()) {
    // Its children notice within seconds that it is gone and end by themselves.
    process.kill(running.pid, 'SIGKILL');
    process.stderr.write(`did not end within ${PATIENCE_MS / 1_000} s, killed\n`);
    return 1;
  }
  process.stderr.write('stopped\n');
  return 0;
}
