import { launchBrowser } from '@millrace/testbed/browser';
import { laptopManifest } from '@millrace/testbed/laptop-manifest';
import { startNetwork, type TestNetwork, type TestNetworkOptions } from '@millrace/testbed/network';
import { Cluster } from './cluster.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchConfig } from './config.ts';
import type { Bench } from './figure.ts';
import { encodeClip } from '@millrace/testkit/media';
import type { Ending } from './processes/ending.ts';

const STOP_WITHIN_MS = 40_000;

/** Starts each resource when a figure first requests it, and keeps it for the following figures. */
export function benchOf(config: BenchConfig, ending: Ending, say: (line: string) => void): Bench {
  const network = once(() => startNetworkOf(ending, say, { env: { MILLRACE_MANIFEST: manifestFile(ending, NODE_SETTINGS) } }));
  return {
    config,
    ending,
    say,
    clip: once(async () => {
      say('encoding the clip …');
      return encodeClip();
    }),
    network,
    cluster: once(async () => {
      const cluster = new Cluster(await network());
      ending.add(() => cluster.close());
      return cluster;
    }),
    browser: once(async () => {
      const browser = await launchBrowser({ leaveSignals: true });
      ending.add(() => browser.close());
      return browser;
    }),
  };
}

/** All viewers of a bench have one address. */
export const NODE_SETTINGS = { MILLRACE_PLAIN_SESSIONS_PER_ADDRESS: '5000' };

/** A manifest with these environment variables for media nodes, as a file that is removed at the end. */
export function manifestFile(ending: Ending, environment: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  ending.add(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'network.yaml');
  writeFileSync(file, laptopManifest({ environment }));
  return file;
}

/** Starts a network that ends with this process, however it ends. */
export async function startNetworkOf(
  ending: Ending,
  say: (line: string) => void,
  options: TestNetworkOptions = {},
): Promise<TestNetwork> {
  say('starting a network of three regions …');
  const network = await startNetwork(options);
  const kill = (): void => void process.kill(network.pid, 'SIGTERM');
  process.once('exit', kill);
  ending.add(async () => {
    process.removeListener('exit', kill);
    say('stopping the network …');
    const patience = setTimeout(() => {
      say(`the network did not stop within ${STOP_WITHIN_MS / 1000} s and is killed; its logs: ${network.stateDir}`);
      void network.kill();
    }, STOP_WITHIN_MS);
    await network.stop();
    clearTimeout(patience);
  });
  return network;
}

function once<T>(start: () => Promise<T>): () => Promise<T> {
  let started: Promise<T> | undefined;
  return () => (started ??= start());
}
