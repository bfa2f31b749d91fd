import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { TestNetwork } from '@millrace/testbed/network';
import { delay, type Bench, type Figure } from '../../figure.ts';
import { publishClip } from '@millrace/testkit/media';
import { childrenOf } from '../../processes/cpu-time.ts';
import { PUBLISHED_IN, waitUntilKnown, WATCHED_IN } from '../../routes.ts';
import { Audience } from './audience.ts';
import { costTable } from './cost.ts';
import { runCrowd, type CrowdReport } from './crowd.ts';
import { drawPanels } from './picture.ts';
import { processesOf, sizeOf, type NetworkProcess } from './processes.ts';
import { findViewers, makeRoom, type Limits } from './ramp.ts';
import { record, type Recording } from './recording.ts';
import { heapGrowth, heapTable, panelsOf, processGrowth, processTable, sizeGrowth, sizeTable } from './report.ts';
import { troublesOf } from './troubles.ts';
import { measureUse } from './use.ts';
import { startWatchedNetwork, type WatchedNetwork } from './watched-network.ts';
import { publishByWhip } from './webrtc-peers.ts';

const STREAMS = ['load/a', 'load/b', 'load/c', 'load/webrtc'] as const;
const VIEWER_REGIONS = [WATCHED_IN, 'frankfurt'] as const;
const SETTLE_MS = 4_000;
const USE_MS = 6_000;
const MAX_VIEWERS = 1_500;
/** Below this share of the due packets the machine is overloaded. */
const MIN_ARRIVED = 0.999;
const WEBRTC_VIEWERS = 4;

/** Runs the whole network for minutes under as many viewers as the machine can serve, and measures its costs and its growth. */
export async function measureLoad(bench: Bench): Promise<Figure> {
  const { config, ending, say } = bench;
  const watched = await startWatchedNetwork(bench);
  const processes = await processFinder(watched);
  await delay(SETTLE_MS);
  const idle = await measureUse(processes, USE_MS);
  await publishAll(bench, watched.network);
  await delay(SETTLE_MS);
  const published = await measureUse(processes, USE_MS);

  const audience = await Audience.open(watched.network, STREAMS, VIEWER_REGIONS);
  ending.add(() => audience.stop());
  const ramp = await findViewers(audience, processes, limitsOf(config), say);
  const { recording, crowd, startedMs, viewers, perSecond } = await runMinutes({ bench, watched, processes, audience });

  const warmUntilMs = startedMs + config.loadWarmUpMinutes * 60_000;
  const grown = processGrowth(recording, warmUntilMs);
  const heaps = heapGrowth(recording, warmUntilMs);
  const sizes = sizeGrowth(recording, warmUntilMs);
  const title = `${STREAMS.length} publishers, ${viewers} viewers, ${perSecond.toFixed(1)} of them come and go each second`;
  mkdirSync(dirname(config.loadPicture), { recursive: true });
  writeFileSync(config.loadPicture, drawPanels(title, panelsOf(recording), warmUntilMs));
  const costs = costTable({ idle, published, ramp, streams: STREAMS.length });
  return {
    title: 'load: what each process of a network of three regions holds and uses',
    conditions: [
      `${STREAMS.length} publishers in ${PUBLISHED_IN} (one by WHIP, the others plain RTP), ${viewers} plain RTP viewers with SRTP in ${VIEWER_REGIONS.join(' and ')}; the ramp ended at ${ramp.viewers} because ${ramp.why}`,
      `${perSecond.toFixed(1)} viewers come and go each second; beside them ${WEBRTC_VIEWERS} WebRTC viewers (werift) who stay 20 s, a browser that stays 45 s, a stream of its own name every 5 s that lasts for 4 s, a console page for 7 s`,
      `CPU: seconds a second, median; slopes over the ${config.loadMinutes - config.loadWarmUpMinutes} minutes after ${config.loadWarmUpMinutes} of warm-up: Theil-Sen with 95% interval (Sen 1968) over the minimum of each 30 s`,
      'every process collects all its garbage each 20 s, not all at once (preloaded for this measurement), so that heaps show what is held, not what waits',
      'grows: the interval lies above 0, and it adds up to more than 1% and 1 MiB (resident memory) or 256 KiB (heap)',
      ...describeAudience(audience, recording),
      ...describeCrowd(crowd),
      ...troublesOf(watched.network.stateDir).map((trouble) => `logs: ${trouble}`),
      `source: ${(await bench.clip()).description}`,
      `picture: ${config.loadPicture}`,
    ],
    ...processTable(grown),
    also: [heapTable(heaps), streamTable(recording), costs, sizeTable(sizes)],
    samples: { ramp, idle, published, grown, heaps, sizes, crowd, recording: plain(recording) },
  };
}

interface Load {
  readonly bench: Bench;
  readonly watched: WatchedNetwork;
  readonly processes: () => NetworkProcess[];
  readonly audience: Audience;
}

/** With a configured number of viewers there is no limit on CPU and loss. */
function limitsOf({ loadViewers, loadHeadroomPercent }: Bench['config']): Limits {
  if (loadViewers > 0) return { headroom: 0, arrived: 0, max: loadViewers };
  return { headroom: loadHeadroomPercent / 100, arrived: MIN_ARRIVED, max: MAX_VIEWERS };
}

async function publishAll(bench: Bench, network: TestNetwork): Promise<void> {
  bench.say(`${STREAMS.length} publishers …`);
  const clip = await bench.clip();
  for (const stream of STREAMS) {
    const publish = stream === 'load/webrtc' ? publishByWhip : publishClip;
    const publisher = await publish(await network.place('push', stream, PUBLISHED_IN), clip);
    bench.ending.add(() => publisher.stop());
    await waitUntilKnown(network, stream);
  }
}

/** Starts all clients, reduces the viewers to those that the machine can serve beside them, and records the run. */
async function runMinutes({ bench, watched, processes, audience }: Load) {
  const { config, ending, say } = bench;
  const over = new AbortController();
  const stop = ending.add(() => over.abort());
  const churn = config.loadChurnPercent / 100;
  const crowded = runCrowd(bench, watched.network, STREAMS, WEBRTC_VIEWERS, over.signal);
  const churned = audience.comeAndGo(churn, over.signal);
  const viewers = await makeRoom(audience, processes, limitsOf(config), say);
  const perSecond = audience.changesPerSecond(churn);
  say(`${viewers} viewers for ${config.loadMinutes} minutes, ${perSecond.toFixed(1)} come and go each second …`);
  const startedMs = Date.now();
  audience.startCounting();
  const seen = {
    processes,
    heapFolder: watched.heaps,
    audience: () => audience.report(),
    viewers: () => audience.size,
    sizes: () => sizesOf(watched),
  };
  const parts = Promise.all([record(seen, over.signal), crowded, churned]);
  const reportProgress = () => say(`${Math.round((Date.now() - startedMs) / 60_000)} of ${config.loadMinutes} minutes`);
  const minutes = setInterval(reportProgress, 60_000);
  await Promise.race([delay(config.loadMinutes * 60_000), parts]);
  clearInterval(minutes);
  await stop();
  const [recording, crowd] = await parts;
  return { recording, crowd, startedMs, viewers, perSecond };
}

/** Process names persist when nodes are replaced: `tokyo-relay 2` is the second node of its edge by name. */
async function processFinder(watched: WatchedNetwork): Promise<() => NetworkProcess[]> {
  const edges = new Map((await watched.nodes()).map(({ metadata, spec }) => [metadata.name, spec.edge]));
  const names = new Map<string, string>();
  for (const edge of new Set(edges.values())) {
    const nodes = [...edges].filter(([, each]) => each === edge).map(([node]) => node);
    nodes.sort().forEach((node, i) => names.set(node, nodes.length === 1 ? edge : `${edge} ${i + 1}`));
  }
  return () => processesOf(watched.network.pid, (node) => names.get(node) ?? node);
}

async function sizesOf(watched: WatchedNetwork): Promise<Record<string, number>> {
  const { network } = watched;
  const sizes: Record<string, number> = {
    'store of the API, KiB': sizeOf(`${network.stateDir}/api`) / 1_024,
    'logs, KiB': (sizeOf(`${network.stateDir}/logs`) + logsOfPods(network)) / 1_024,
  };
  const nodes = await watched.nodes();
  sizes['MediaNodes'] = nodes.length;
  for (const { metadata, status } of nodes) {
    const url = status?.endpoints?.opsUrl;
    if (url) sizes[`rows of /metrics, ${metadata.name}`] = await metricRows(url);
  }
  sizes['rows of /metrics, control'] = await metricRows(controlUrlOf(network));
  return sizes;
}

function logsOfPods({ stateDir }: TestNetwork): number {
  return sizeOf(`${stateDir}/pods`);
}

async function metricRows(url: string): Promise<number> {
  const text = await (await fetch(new URL('/metrics', url), { signal: AbortSignal.timeout(5_000) })).text();
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
}

/** Reads the URL of control from the environment of a node. */
function controlUrlOf({ pid }: TestNetwork): string {
  for (const child of childrenOf(pid)) {
    const environment = readFileSync(`/proc/${child}/environ`, 'utf8').split('\0');
    const url = environment.find((each) => each.startsWith('MILLRACE_CONTROL_URL='))?.slice('MILLRACE_CONTROL_URL='.length);
    if (url) return url.replace(/^ws/, 'http');
  }
  throw new Error('no node process has the URL of control');
}

function streamTable({ moments }: Recording) {
  const { streams } = moments[moments.length - 1]!;
  return {
    title: 'Streams to plain viewers, during the minutes',
    columns: ['stream', 'packets due', 'arrived', 'missing', 'arrived %', 'freezes of 200 ms', 'longest gap ms'],
    rows: streams.slice(0, STREAMS.length).map(({ due, arrived, freezes, longestGapMs }, i) => {
      const share = due > 0 ? Number(((100 * arrived) / due).toFixed(4)) : 0;
      return [STREAMS[i]!, due, arrived, due - arrived, String(share), freezes, Math.round(longestGapMs)];
    }),
  };
}

function describeAudience({ counts, failures }: Audience, { moments }: Recording): string[] {
  const silent = moments[moments.length - 1]!.silent;
  return [
    `plain viewers: ${counts.joined} joined and ${counts.left} left during the minutes, ${counts.failed} joins failed; at the end ${silent} got nothing`,
    ...[...failures].map(([why, count]) => `${count} times: ${why}`),
  ];
}

function describeCrowd({ webrtc, browser, passingStreams, consolePages, errors }: CrowdReport): string[] {
  const { due, arrived, freezes } = webrtc.account;
  return [
    `WebRTC viewers: ${webrtc.joined} joined, ${webrtc.failed} failed, ${arrived} of ${due} packets, ${freezes} freezes`,
    `browser: joined ${browser.joined} times, ${browser.failed} failed, ${browser.framesDecoded} frames decoded, ${browser.freezes} freezes`,
    `passing streams: ${passingStreams.ended} came and went, ${passingStreams.failed} failed; ${consolePages} console pages`,
    ...Object.entries(errors).map(([why, count]) => `${count} times: ${why}`),
  ];
}

function plain({ moments, processes, heaps }: Recording) {
  return {
    moments,
    processes: Object.fromEntries(processes),
    heaps: Object.fromEntries([...heaps].map(([name, threads]) => [name, Object.fromEntries(threads)])),
  };
}
