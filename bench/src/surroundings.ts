import { launchBrowser } from '../../e2e/src/browser.ts';
import { startNetwork } from '../../e2e/src/network.ts';
import type { BenchConfig } from './config.ts';
import type { Bench } from './figure.ts';
import { encodeClip } from './media/clip.ts';
import type { Ending } from './processes/ending.ts';

/** Starts each part when a figure first asks for it, and keeps it for the next. */
export function benchOf(config: BenchConfig, ending: Ending, say: (line: string) => void): Bench {
  return {
    config,
    ending,
    say,
    clip: once(async () => {
      say('encoding the clip …');
      return encodeClip();
    }),
    network: once(async () => {
      say('starting a network of three regions …');
      const network = await startNetwork();
      const kill = (): void => void process.kill(network.pid, 'SIGTERM');
      process.once('exit', kill);
      ending.add(async () => {
        process.removeListener('exit', kill);
        say('stopping the network …');
        await network.stop();
      });
      return network;
    }),
    browser: once(async () => {
      const browser = await launchBrowser({ leaveSignals: true });
      ending.add(() => browser.close());
      return browser;
    }),
  };
}

function once<T>(start: () => Promise<T>): () => Promise<T> {
  let started: Promise<T> | undefined;
  return () => (started ??= start());
}
