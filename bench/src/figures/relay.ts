import { randomBytes } from 'node:crypto';
import { createLogger } from '@millrace/service';
import { Relay } from '@millrace/media-node/relay';
import { delay, type Bench, type Figure } from '../figure.ts';
import type { Clip } from '@millrace/testkit/media';
import { PAYLOAD_TYPE } from '@millrace/testkit/media';
import { openTimedStreams, ssrcOf, type TimedStreams } from '../media/timed-streams.ts';
import { startChild } from '../processes/child.ts';
import { measureWindow, packetsPerCpuSecond, totalCpuSeconds, type Window } from '../processes/window.ts';
import { summarize, type Summary } from '@millrace/testkit';

const STEADY_MS = 2_000;
/** Lets V8 compile the code that runs for each packet, in the relay as in the forwarders. */
const WARM_UP_MS = 15_000;
const MESH = {
  name: 'bench',
  keys: [{ id: 'k1', secret: randomBytes(32).toString('base64') }],
  kcp: { intervalMs: 10, fastResend: 2, sendWindow: 1024, receiveWindow: 1024, deadlineMs: 600 },
  fec: { mode: 'Off' as const, dataShards: 10, parityShards: 2 },
  rateCapMbps: 1000,
  probeIntervalMs: 1000,
  fastReroute: { heartbeatMs: 40, sensitivity: 'Medium' as const },
};

interface RelayMeasurement {
  readonly name: string;
  /** The window of the process in the middle, or of this process if there is none. */
  readonly window: Window;
  readonly hasMiddle: boolean;
  readonly delayMs: Summary;
  readonly arrived: number;
}

/** Measures the CPU cost and the delay of one hop over a relay, compared with a process that only forwards datagrams. */
export async function measureRelay(bench: Bench): Promise<Figure> {
  const clip = await bench.clip();
  const streams = bench.config.relayStreams;
  const plain = await overForwarder(bench, clip);
  const forwarder = await overForwarder(bench, clip, 'forwarder');
  const sealing = await overForwarder(bench, clip, 'sealing-forwarder');
  const trunk = await overRelays(bench, clip, false);
  const hop = await overRelays(bench, clip, true);
  const added = (measurement: RelayMeasurement, without: RelayMeasurement, of: 'p50' | 'p99') =>
    measurement.delayMs[of] - without.delayMs[of];
  return {
    title: 'relay: packets per CPU-second through one relay, and the delay that it adds',
    conditions: [
      `${streams} streams at once, ${Math.round(streams * clip.packetsPerSecond)} packets/s in all, ${bench.config.windowSeconds} s each; frames of the streams evenly spread over time`,
      'relay: publisher > node (gate) > trunk > relay in a process of its own > trunk > node > UDP; its delay is beside the same without the relay (one trunk). Both end nodes run in threads of the measuring process',
      'forwarder: a process that sends on each datagram with node:dgram; its delay is beside a datagram sent straight to its receiver',
      'sealing forwarder: the same with one AES-256-GCM seal and one open by node:crypto for each datagram, as a relay must: what cannot be saved without native code',
      `what is in the middle has done its work for ${WARM_UP_MS / 1000} s before, so that V8 has compiled what it does for each packet`,
      "packets per CPU-second: of the whole process in the middle, from /proc/PID/stat; delay: from the publisher's send to the receiver's callback, added: difference of the quantiles",
      `source: ${clip.description}`,
    ],
    columns: [
      'in the middle',
      'packets per CPU-second',
      'µs/packet',
      'to forwarder',
      'to sealing',
      'added p50 ms',
      'added p99 ms',
      'p50 ms',
      'p99 ms',
      'without p50',
      'without p99',
      'arrived %',
    ],
    rows: [[hop, trunk] as const, [sealing, plain] as const, [forwarder, plain] as const].map(([measurement, without]) => [
      measurement.name,
      Math.round(packetsPerCpuSecond(measurement.window)),
      (totalCpuSeconds(measurement.window) / measurement.window.packets) * 1e6,
      packetsPerCpuSecond(measurement.window) / packetsPerCpuSecond(forwarder.window),
      packetsPerCpuSecond(measurement.window) / packetsPerCpuSecond(sealing.window),
      added(measurement, without, 'p50'),
      added(measurement, without, 'p99'),
      measurement.delayMs.p50,
      measurement.delayMs.p99,
      without.delayMs.p50,
      without.delayMs.p99,
      measurement.arrived * 100,
    ]),
    samples: { plain, forwarder, sealing, trunk, hop },
  };
}

async function overForwarder(bench: Bench, clip: Clip, program?: 'forwarder' | 'sealing-forwarder'): Promise<RelayMeasurement> {
  const timed = await openTimedStreams();
  const stopTimed = bench.ending.add(() => timed.stop());
  const middle = program && (await startChild(`${program}.ts`, String(timed.port)));
  const stopMiddle = bench.ending.add(() => middle?.stop());
  const target = { ip: '127.0.0.1', port: middle?.port ?? timed.port };
  timed.start(
    clip,
    Array.from({ length: bench.config.relayStreams }, () => target),
  );
  const measurement = await measureDelay(bench, clip, timed, program?.replace('-', ' ') ?? 'nothing', middle?.pid);
  await stopTimed();
  await stopMiddle();
  return measurement;
}

async function overRelays(bench: Bench, clip: Clip, hasMiddle: boolean): Promise<RelayMeasurement> {
  const timed = await openTimedStreams();
  const stopTimed = bench.ending.add(() => timed.stop());
  const [origin, edge] = [await startRelay('origin'), await startRelay('edge')];
  const stopEnds = bench.ending.add(() => Promise.all([origin.close(), edge.close()]));
  const peerAt = (node: string, port: number) => ({ node, region: 'any', host: '127.0.0.1', port });
  const settings = JSON.stringify({ mesh: MESH, peers: [peerAt('origin', origin.trunkPort)], probe: [] });
  const middle = hasMiddle ? await startChild('relay-hop.ts', settings) : undefined;
  const stopMiddle = bench.ending.add(() => middle?.stop());
  const peers = [...(middle ? [peerAt('hop', middle.port)] : []), peerAt('origin', origin.trunkPort)];
  const path = peers.map(({ node }) => node);
  await edge.configure({ mesh: MESH, peers, probe: [] });
  const targets = [];
  for (let i = 0; i < bench.config.relayStreams; i++) {
    const stream = `bench/${i}`;
    const ingest = await origin.ingest({ stream, epoch: 1, tracks: [trackOf(i)], rttMs: 1 });
    ingest.on('keyframe', () => timed.keyframe(i));
    const egress = await edge.egress({ stream, path, lingerMs: 0 });
    await egress.described(10_000);
    await egress.attach(0, {
      ip: '127.0.0.1',
      port: timed.port,
      payloadType: PAYLOAD_TYPE,
      layers: [{ rank: 0, ssrc: ssrcOf(i) }],
    });
    targets.push(ingest.address);
  }
  timed.start(clip, targets);
  const measurement = await measureDelay(bench, clip, timed, hasMiddle ? 'relay' : 'one trunk', middle?.pid);
  await stopTimed();
  await stopEnds();
  await stopMiddle();
  return measurement;
}

async function measureDelay(
  bench: Bench,
  clip: Clip,
  timed: TimedStreams,
  name: string,
  pid: number | undefined,
): Promise<RelayMeasurement> {
  await delay(pid === undefined ? STEADY_MS : WARM_UP_MS);
  timed.takeDelaysMs();
  const window = await measureWindow(bench.config.windowSeconds, { [name]: pid ?? process.pid }, () => timed.packets());
  const delayMs = summarize(timed.takeDelaysMs());
  bench.say(`relay, ${name}: ${delayMs.p50.toFixed(2)} ms at the median`);
  const due = window.seconds * clip.packetsPerSecond * bench.config.relayStreams;
  return { name, window, hasMiddle: pid !== undefined, delayMs, arrived: window.packets / due };
}

async function startRelay(node: string): Promise<Relay> {
  const relay = await Relay.start({
    trunk: { host: '127.0.0.1', port: 0 },
    logger: createLogger({ service: 'bench', level: 'error' }),
    self: { node },
    roles: ['relay'],
  });
  await relay.configure({ mesh: MESH, peers: [], probe: [] });
  return relay;
}

function trackOf(stream: number) {
  return {
    track: 0,
    kind: 'video' as const,
    codec: { mimeType: 'video/H264', payloadType: PAYLOAD_TYPE, clockRate: 90_000 },
    headerExtensions: [],
    layers: [{ layer: 0, ssrc: ssrcOf(stream) }],
  };
}
