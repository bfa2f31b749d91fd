/**
 * Packets per CPU-second of each stage of the relay on one thread, then of a whole way with its trunks.
 * Run: node media-node/src/relay/relay.bench.ts
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { KEYFRAME, MEDIA_HEADER_BYTES, type TrackDescription } from '@millrace/api/trunk';
import { h264Payload, rtpPacket } from '@millrace/testkit/rtp';
import { createLogger } from '@millrace/service';
import { CarriedStream, VIDEO } from './carried-stream/index.ts';
import { DownstreamFeed } from './downstream-feed.ts';
import { Egress } from './egress/index.ts';
import { Ingest } from './ingest.ts';
import { mediaFrame } from './media-frame.fixture.ts';
import { Relay } from './relay.ts';
import { DgramRtpSockets } from './rtp-sockets.ts';
import { allLayers } from './subscription/index.ts';
import type { RelayTrunk } from './trunks.ts';

const PACKETS = 200_000;
const PACKET_BYTES = 1100;
const OUTPUTS = 10;
const WAY_PACKETS = 20_000;

const MESH = {
  name: 'bench',
  keys: [{ id: 'k1', secret: Buffer.alloc(32, 7).toString('base64') }],
  kcp: { intervalMs: 10, fastResend: 2, sendWindow: 1024, receiveWindow: 1024, deadlineMs: 600 },
  fec: { mode: 'Off' as const, dataShards: 10, parityShards: 2 },
  rateCapMbps: 1000,
  probeIntervalMs: 1000,
  fastReroute: { heartbeatMs: 60, sensitivity: 'Low' as const },
};

const RECEIVER = `const socket = require('node:dgram').createSocket('udp4');
socket.bind(0, '0.0.0.0', () => console.log(socket.address().port));`;

const track: TrackDescription = {
  track: 0,
  kind: 'video',
  codec: { mimeType: 'video/H264', payloadType: 102, clockRate: 90_000 },
  headerExtensions: [],
  layers: [{ layer: 0, ssrc: 1000 }],
};

function report(stage: string, packets: number, before: NodeJS.CpuUsage): void {
  const used = process.cpuUsage(before);
  const seconds = (used.user + used.system) / 1e6;
  console.log(
    `${stage}: ${Math.round(packets / seconds).toLocaleString('en')} packets per CPU-second (${((seconds / packets) * 1e6).toFixed(2)} µs each)`,
  );
}

/** Publisher's RTP to numbered frames: parse, marks, gate, ring. */
function benchIngest(): void {
  const stream = new CarriedStream('bench/ingest');
  let nowMs = 0;
  const ingest = new Ingest({
    stream,
    epoch: 1,
    tracks: [track],
    now: () => nowMs,
    wakeBy: () => {},
    onKeyframeRequest: () => {},
  });
  const packet = rtpPacket({ payloadType: 102, ssrc: 1000, marker: true, payload: h264Payload('keyframe', PACKET_BYTES) });
  const before = process.cpuUsage();
  for (let n = 0; n < PACKETS; n++) {
    nowMs += 0.2;
    packet.writeUInt16BE(n & 0xffff, 2);
    ingest.onPacket(packet);
  }
  report('ingest and gate', PACKETS, before);
}

/** A middle hop: dedupe, ring, on to ten subscribers. */
function benchForward(): void {
  const stream = new CarriedStream('bench/forward');
  const trunk = { sendMedia: () => true, mediaRoom: () => 1024 } as unknown as RelayTrunk;
  for (let i = 0; i < OUTPUTS; i++) {
    const feed = new DownstreamFeed(trunk, stream, { audio: 1, video: 2 }, () => undefined);
    feed.setWanted(allLayers(), []);
    stream.addSink(feed);
  }
  const frames = Array.from({ length: PACKETS / OUTPUTS }, (_, seq) =>
    mediaFrame({ seq, rtp: { payload: h264Payload('delta', PACKET_BYTES) } }),
  );
  const before = process.cpuUsage();
  frames.forEach((frame, n) => stream.push(frame, VIDEO, n * 0.2));
  report(`forward to ${OUTPUTS} subscribers, each`, PACKETS, before);
}

/** The last hop: order, renumbering, and the UDP socket to each of ten plain transports. */
async function benchEgress(): Promise<void> {
  const stream = new CarriedStream('bench/egress');
  let nowMs = 0;
  const sockets = new DgramRtpSockets(() => {});
  const egress = new Egress({ stream, sockets, now: () => nowMs, wakeBy: () => {}, onKeyframeRequest: () => {} });
  stream.addSink(egress);
  stream.advanceTo(1);
  egress.describe({ stream: 'bench/egress', epoch: 1, tracks: [track] });
  const { receiver, port } = await startReceiver();
  for (let i = 0; i < OUTPUTS; i++) {
    const place = { ip: `127.0.0.${i + 1}`, port };
    await egress.attach(0, { ...place, payloadType: 96, layers: [{ rank: 0, ssrc: 7000 + i }] });
  }
  const before = process.cpuUsage();
  for (let n = 0; n < PACKETS / OUTPUTS; n++) {
    nowMs += 0.2;
    const frame = mediaFrame({ seq: n, marks: n === 0 ? KEYFRAME : 0, rtp: { payload: h264Payload('delta', PACKET_BYTES) } });
    stream.push(frame, VIDEO, nowMs);
  }
  report(`egress over UDP to ${OUTPUTS} transports, each`, PACKETS, before);
  egress.close();
  receiver.kill();
}

/** In at one node, over a second, out at a third: all three, ciphers and sockets included. */
async function benchWholePath(): Promise<void> {
  const logger = createLogger({ service: 'bench', level: 'error' });
  const relays = await Promise.all(
    ['a', 'b', 'c'].map((node) =>
      Relay.start({ trunk: { host: '127.0.0.1', port: 0 }, logger, self: { node }, roles: ['relay'], thread: false }),
    ),
  );
  const [a, b, c] = relays as [Relay, Relay, Relay];
  const peerAt = (node: string, relay: Relay) => ({ node, region: 'any', host: '127.0.0.1', port: relay.trunkPort });
  for (const relay of relays) await relay.configure({ mesh: MESH, peers: [peerAt('a', a), peerAt('b', b)], probe: [] });
  const ingest = await a.ingest({ stream: 'bench/way', epoch: 1, tracks: [track], rttMs: 1 });
  const egress = await c.egress({ stream: 'bench/way', path: ['b', 'a'], lingerMs: 0 });
  await egress.described(10_000);
  const { receiver, port } = await startReceiver();
  await egress.attach(0, { ip: '127.0.0.1', port, payloadType: 96, layers: [{ rank: 0, ssrc: 7000 }] });
  const publisher = createSocket('udp4');
  const packet = rtpPacket({ payloadType: 102, ssrc: 1000, marker: true, payload: h264Payload('keyframe', PACKET_BYTES) });
  const before = process.cpuUsage();
  for (let n = 0; n < WAY_PACKETS; n++) {
    packet.writeUInt16BE(n & 0xffff, 2);
    publisher.send(Buffer.from(packet), ingest.address.port, ingest.address.ip);
    if (n % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 4));
  }
  await new Promise((resolve) => setTimeout(resolve, 300));
  const { packets } = await egress.stats();
  report(`whole way over two trunks (${packets} of ${WAY_PACKETS} came)`, packets, before);
  await egress.close();
  await Promise.all(relays.map((relay) => relay.close()));
  publisher.close();
  receiver.kill();
}

/** A process of its own: what the receiver costs is not the relay's. */
async function startReceiver(): Promise<{ receiver: ChildProcess; port: number }> {
  const receiver = spawn(process.execPath, ['-e', RECEIVER], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = Number(String((await once(receiver.stdout, 'data'))[0]));
  return { receiver, port };
}

console.log(`packets of ${PACKET_BYTES + MEDIA_HEADER_BYTES} bytes`);
benchIngest();
benchForward();
await benchEgress();
await benchWholePath();
