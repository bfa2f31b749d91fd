import type { PlacementResponse } from '@millrace/api';
import { pidOfNode } from '@millrace/testbed/node-process';
import { delay, type Bench, type Figure } from '../figure.ts';
import { startSink, type PacketSink } from '../media/packet-sink.ts';
import { openSession, publishClip } from '@millrace/testkit/media';
import { CRYPTO_SUITE, newSrtpKey } from '../media/srtp.ts';
import { childrenOf } from '../processes/cpu-time.ts';
import { measureWindow, packetsPerCpuSecond, totalCpuSeconds, type Window } from '../processes/window.ts';
import { PUBLISHED_IN, waitUntilKnown, WATCHED_IN } from '../routes.ts';
import { startBareWorker } from './bare-worker.ts';

const STEADY_MS = 3_000;
/** Lets V8 compile the code that runs for each packet, as in a long-running node. */
const WARM_UP_MS = 15_000;
/** A node accepts 50 new sessions per second from one address. */
const BETWEEN_VIEWERS_MS = 25;
const VIEWERS_PER_TOKEN = 50;

interface Round {
  readonly viewers: number;
  readonly node: Window;
  readonly reference: Window;
  /** The shares of the due packets that arrived. */
  readonly nodeDelivered: number;
  readonly referenceDelivered: number;
}

/** Measures packets per CPU-second of a complete pull node, compared with a bare mediasoup worker. */
export async function measureFanout(bench: Bench): Promise<Figure> {
  const clip = await bench.clip();
  const sink = await startSink();
  const stopSink = bench.ending.add(() => sink.stop());
  bench.say(`the pull node serves one viewer for ${WARM_UP_MS / 1000} s first …`);
  await serveOne(bench, sink);
  const rounds: Round[] = [];
  for (const viewers of bench.config.fanoutViewers) {
    const due = viewers * clip.packetsPerSecond;
    bench.say(`fanout to ${viewers} viewers: bare worker`);
    const reference = await measureReference(bench, sink, viewers);
    bench.say(`fanout to ${viewers} viewers: pull node`);
    const node = await measureNode(bench, sink, viewers);
    const delivered = (window: Window) => window.packets / window.seconds / due;
    rounds.push({ viewers, node, reference, nodeDelivered: delivered(node), referenceDelivered: delivered(reference) });
  }
  await stopSink();
  return {
    title: 'fanout: packets per CPU-second of a whole pull node',
    conditions: [
      `one stream published in ${PUBLISHED_IN}, pulled in ${WATCHED_IN} by that many plain RTP viewers with SRTP ${CRYPTO_SUITE} (POST /rtp/pull), all received by one process on this machine`,
      `node: CPU of the pull node's Node process (signalling, reports, relay thread: the trunk's end) and of its mediasoup worker, from /proc/PID/stat over ${bench.config.windowSeconds} s; packets: those that arrived`,
      'bare worker: in the same run a mediasoup worker alone, one producer fed with the same packets, a plain transport with the same SRTP for each viewer, CPU of the worker process; ratio: node to bare worker',
      `the node has served one viewer for ${WARM_UP_MS / 1000} s before, so that V8 has compiled what it does for each packet`,
      'arrived: share of the packets due (packets of the source times viewers); what is missing was dropped at the receiving sockets or came too late for the window',
      `source: ${clip.description}`,
    ],
    columns: [
      'viewers',
      'packets/s',
      'node',
      'bare worker',
      'ratio',
      'node µs/packet',
      'of it in Node µs',
      'bare µs/packet',
      'arrived %',
      'bare arrived %',
    ],
    rows: rounds.map(({ viewers, node, reference, nodeDelivered, referenceDelivered }) => [
      viewers,
      Math.round(node.packets / node.seconds),
      Math.round(packetsPerCpuSecond(node)),
      Math.round(packetsPerCpuSecond(reference)),
      packetsPerCpuSecond(node) / packetsPerCpuSecond(reference),
      microseconds(totalCpuSeconds(node), node),
      microseconds(node.cpuSeconds['node']!, node),
      microseconds(totalCpuSeconds(reference), reference),
      nodeDelivered * 100,
      referenceDelivered * 100,
    ]),
    samples: rounds,
  };
}

async function measureNode(bench: Bench, sink: PacketSink, viewers: number): Promise<Window> {
  const [clip, network] = [await bench.clip(), await bench.network()];
  const stream = `bench/fanout-${viewers}`;
  const publisher = await publishClip(await network.place('push', stream, PUBLISHED_IN), clip);
  const stop = bench.ending.add(() => publisher.stop());
  await waitUntilKnown(network, stream);
  let place = await network.place('pull', stream, WATCHED_IN);
  for (let i = 0; i < viewers; i++) {
    // A token opens a bounded number of sessions.
    if (i % VIEWERS_PER_TOKEN === VIEWERS_PER_TOKEN - 1) place = await network.place('pull', stream, WATCHED_IN);
    await openViewer(place, sink, i);
    if (i % 100 === 99) bench.say(`${i + 1} viewers joined`);
    await delay(BETWEEN_VIEWERS_MS);
  }
  const node = pidOfNode(place.node);
  const pids = { node, ...Object.fromEntries(childrenOf(node).map((pid, i) => [`worker${i}`, pid])) };
  const window = await steadyWindow(bench, sink, viewers, pids);
  // The sessions of the viewers end with the stream.
  await stop();
  await delay(500);
  return window;
}

async function serveOne(bench: Bench, sink: PacketSink): Promise<void> {
  const [clip, network] = [await bench.clip(), await bench.network()];
  const stream = 'bench/fanout-first';
  const publisher = await publishClip(await network.place('push', stream, PUBLISHED_IN), clip);
  const stop = bench.ending.add(() => publisher.stop());
  await waitUntilKnown(network, stream);
  await openViewer(await network.place('pull', stream, WATCHED_IN), sink, 0);
  await delay(WARM_UP_MS);
  await stop();
}

async function openViewer(place: PlacementResponse, sink: PacketSink, index: number): Promise<void> {
  const from = sink.ports[index % sink.ports.length]!;
  const srtp = { cryptoSuite: CRYPTO_SUITE, keyBase64: newSrtpKey() };
  const { ip, port } = await openSession(place, 'pull', { address: { ip: '127.0.0.1', port: from }, srtp });
  sink.reportTo({ from, ip, port });
}

async function measureReference(bench: Bench, sink: PacketSink, viewers: number): Promise<Window> {
  const ports = Array.from({ length: viewers }, (_, i) => sink.ports[i % sink.ports.length]!);
  const bare = await startBareWorker(await bench.clip(), ports);
  const stop = bench.ending.add(() => bare.stop());
  const window = await steadyWindow(bench, sink, viewers, { worker: bare.pid });
  await stop();
  return window;
}

async function steadyWindow(bench: Bench, sink: PacketSink, viewers: number, pids: Record<string, number>): Promise<Window> {
  await delay(STEADY_MS);
  await sink.sources();
  const window = await measureWindow(bench.config.windowSeconds, pids, () => sink.packets());
  const served = await sink.sources();
  if (served !== viewers) throw new Error(`${served} of ${viewers} viewers got packets`);
  return window;
}

function microseconds(cpuSeconds: number, { packets }: Window): number {
  return (cpuSeconds / packets) * 1e6;
}
