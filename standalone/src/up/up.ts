import type { MediaEdge } from '@millrace/api';
import { realClock } from '@millrace/service';
import type { UpConfig } from './config.ts';
import { clockSource, fileSource, publishForever } from '../demo/index.ts';
import type { Source } from '../demo/index.ts';
import { startNetwork } from './network.ts';
import type { Network } from './network.ts';
import { Progress } from './progress.ts';
import type { RunningNetwork } from './state-dir.ts';
import { StateDir } from './state-dir.ts';
import { summaryOf, whatNext } from './what-next.ts';

const DEMO_STREAM = 'live/demo';
const READY_TIMEOUT_MS = 180_000;

/** Starts the network of this folder and runs it until a signal stops it. Returns the exit code. */
export async function up(config: UpConfig): Promise<number> {
  const dir = new StateDir(config.stateDir);
  const progress = new Progress(realClock);
  // Checked before anything starts, so that an invalid SOURCE is reported at once.
  const source = chooseSource(config.source);
  const before = dir.claim();
  if (before) return tellRunning(before, config.source, progress);
  const stopping = stopSignal();
  progress.say('Starting Millrace …');
  let network: Network | undefined;
  try {
    network = await startNetwork(config, dir, progress, stopping);
    const { missing } = network;
    await progress.wait(`${describeNetwork(network.edges)} up, measured and routed`, READY_TIMEOUT_MS, missing, stopping);
    const { consoleUrl, controlUrl, kubeconfig, edges } = network;
    const use = { consoleUrl, controlUrl, kubeconfig, edges: edges.map(summaryOf) };
    dir.publish(use);
    const takesPublishers = edges.some(({ spec }) => spec.roles.includes('push'));
    const publishing = source && takesPublishers ? publish(network, source, progress, stopping) : Promise.resolve();
    progress.say(whatNext(use));
    await aborted(stopping);
    await publishing;
    return 0;
  } catch (error) {
    if (stopping.aborted) return 0;
    progress.say(
      `Millrace did not come up: ${error instanceof Error ? error.message : String(error)}${network ? `\nLogs: ${dir.file('logs', 'network.log')}, and of each node ${dir.file('pods', 'pods', '*', 'logs', '*.log')}` : ''}`,
    );
    return 1;
  } finally {
    if (network) {
      const running = network;
      await progress.step('stopped', () => running.stop());
    }
    dir.forget();
  }
}

function describeNetwork(edges: readonly MediaEdge[]): string {
  const regions = new Set(edges.map(({ spec }) => spec.region)).size;
  return edges.length === 1 ? '1 edge is' : `${edges.length} edges of ${regions === 1 ? 'one region' : `${regions} regions`} are`;
}

function tellRunning({ pid, use }: RunningNetwork, source: string, progress: Progress): number {
  if (!use) {
    progress.say(`Millrace is being started already (pid ${pid}); its terminal shows when it is up. To stop it: make down`);
    return 1;
  }
  progress.say(`Millrace runs already (pid ${pid}).\n${whatNext(use)}`);
  if (source === '') return 0;
  progress.say(`It keeps publishing its present source. For SOURCE=${source}: make down, then make up SOURCE=${source}`);
  return 1;
}

function chooseSource(source: string): Source | undefined {
  if (source === 'none') return undefined;
  return source === '' ? clockSource() : fileSource(source);
}

async function publish(network: Network, source: Source, progress: Progress, signal: AbortSignal): Promise<void> {
  let told = '';
  await publishForever({
    stream: DEMO_STREAM,
    source,
    place: () => network.place('push', DEMO_STREAM),
    signal,
    adopt: network.adopt,
    onState: (state) => {
      network.logger.info({ stream: DEMO_STREAM }, state);
      if (state !== told) progress.say(`  ${(told = state)}`);
    },
  });
}

/** Aborts on the first SIGINT or SIGTERM; a second one ends the process at once. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      controller.abort(new Error(name));
    });
  }
  return controller.signal;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
