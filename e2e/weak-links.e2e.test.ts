import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { UdpNetwork } from '@millrace/link-emulator';
import { AUDIO_MS, FrameAccount, FRAME_MS, FrameSource } from '../media-node/src/relay/labelled-frames.fixture.ts';
import { AUDIO_TRACK, VIDEO_TRACK } from '../media-node/src/relay/simulated-mesh.fixture.ts';
import { buildGraph, disjointPaths, judgeLinks, weightsFor } from '../operator/src/relaymesh/routing/index.ts';
import { eventually } from './src/network.ts';
import { RelayFleet } from './src/relay-fleet.ts';

const SECONDS = Number(process.env['MILLRACE_WEAK_LINK_SECONDS'] ?? 180);
/** What is on its way at the end is not missing. */
const TAIL_MS = 2_000;
const WEAK = 'live/weak';
const CONTROL = 'live/control';
/** Scheduling of a busy machine, which the control stream does not always get at the same moment. */
const NOISE_MS = 150;

/**
 * Origin a, viewers' node b, and from y to a two ways: over x and over w, RTT 80 ms each. Only the link between x and y is weak. The
 * control stream goes over w, through the same two end nodes and y, so that what the machine does to one it does to the other.
 */
describe('Real relays over weak links', { timeout: SECONDS * 1000 + 180_000 }, () => {
  let fleet: RelayFleet;
  let weak: Stream;
  let control: Stream;

  before(async () => {
    const long = new Set(['x y', 'y x', 'w y', 'y w']);
    const network = new UdpNetwork({ seed: 1, profile: (from, to) => ({ delayMs: long.has(`${from} ${to}`) ? 40 : 2 }) });
    const links = [
      ['a', 'x'],
      ['a', 'w'],
      ['x', 'y'],
      ['w', 'y'],
      ['y', 'b'],
    ] as const;
    fleet = await RelayFleet.start(['a', 'x', 'w', 'y', 'b'], links, network);
    weak = await Stream.start(fleet, WEAK, ['y', 'x', 'a'], ['y', 'w', 'a']);
    control = await Stream.start(fleet, CONTROL, ['y', 'w', 'a'], []);
    await delay(3_000);
  });
  after(async () => {
    weak?.stop();
    control?.stop();
    await fleet?.stop();
  });

  test(`10% loss on the middle hop: 99% of the frames of ${SECONDS} s are decodable, and freezes are no longer than without loss by 200 ms`, async (t) => {
    fleet.network.changeBoth('x', 'y', { loss: 0.1 });
    // Loss has to be known before it can be met.
    await delay(3_000);
    fleet.network.takeLateness();
    const bytes = (from: string) => fleet.network.link(from, 'y').there.counters.offeredBytes;
    const sent = { weak: -bytes('x'), control: -bytes('w') };
    const fromMs = performance.now();
    await delay(SECONDS * 1000);
    const toMs = performance.now() - TAIL_MS;
    sent.weak += bytes('x');
    sent.control += bytes('w');
    const [seen, beside] = [weak.account.showing(fromMs, toMs), control.account.showing(fromMs, toMs)];
    const figures = JSON.stringify({
      weak: seen,
      control: beside,
      sentToControl: sent.weak / sent.control,
      emulator: fleet.network.takeLateness(),
    });
    t.diagnostic(figures);
    assert.ok(beside.decodable >= 0.99, `the machine is too busy to judge: ${figures}`);
    assert.ok(seen.decodable >= 0.99, figures);
    assert.ok(seen.heard >= 0.99, figures);
    assert.ok(seen.missingPackets <= beside.missingPackets + 30, figures);
    assert.ok(seen.longestFreezeMs - beside.longestFreezeMs < 200 + NOISE_MS, figures);
    assert.deepEqual(await fleet.pathOf('b', WEAK), ['y', 'x', 'a'], 'a weak link is no dead one');
  });

  test('cut in one direction it is gone around by itself, and the routes computed from what relays then report agree', async (t) => {
    fleet.network.changeBoth('x', 'y', { loss: 0 });
    await delay(2_000);
    const fromMs = performance.now();
    fleet.network.change('x', 'y', { cut: true });
    await eventually('the path changes', 10_000, async () => ((await fleet.pathOf('b', WEAK)).includes('w') ? true : undefined));
    t.diagnostic(`path changed within ${(performance.now() - fromMs).toFixed(0)} ms`);
    const hops = await eventually('relays call the link down', 10_000, async () => {
      const best = await bestPath(fleet);
      return best.includes('x') ? undefined : best;
    });
    assert.deepEqual(hops, ['b', 'y', 'w', 'a']);
    await fleet.call('b', { do: 'reroute', stream: WEAK, path: fleet.path(...hops.slice(1)), backup: [] });
    await delay(3_000 + TAIL_MS);
    const seen = weak.account.showing(fromMs, performance.now() - TAIL_MS);
    t.diagnostic(JSON.stringify(seen));
    assert.deepEqual(await fleet.pathOf('b', WEAK), ['y', 'w', 'a']);
    assert.ok(seen.decodable >= 0.95, JSON.stringify(seen));
  });
});

/** As the operator would: links judged from both ends' reports, cheapest path of the graph. */
async function bestPath(fleet: RelayFleet): Promise<readonly string[]> {
  const reports = (await fleet.links()).map(({ from, report }) => ({ ...report, from, to: report.peer, fresh: true }));
  const usable = judgeLinks(reports).filter(({ state }) => state !== 'Down');
  const relays = ['a', 'x', 'w', 'y', 'b'].map((node) => ({
    node,
    region: node,
    provider: 'any',
    priceCentsPerGb: 0,
    utilizationPercent: 0,
  }));
  const weights = weightsFor('LowestLatency', { jitter: 1, lossMsPerPercent: 20, utilizationMsPerPercent: 1, priceMsPerCent: 0 });
  const query = {
    sources: ['b'],
    originRegion: 'a',
    maxHops: 4,
    weights,
    via: [],
    avoidRegions: new Set<string>(),
    avoidProviders: new Set<string>(),
  };
  const [best] = disjointPaths(buildGraph(relays, usable), query, 1);
  assert.ok(best, `no path: ${JSON.stringify(usable)}`);
  return best.hops;
}

/** A publisher at a and a viewer at b: video of 30 frames a second, audio of 50 packets. */
class Stream {
  readonly account: FrameAccount;
  readonly #source = new FrameSource();
  readonly #sockets: Socket[] = [];
  #timers: NodeJS.Timeout[] = [];

  static async start(fleet: RelayFleet, name: string, path: string[], backup: string[]): Promise<Stream> {
    const stream = new Stream();
    const address = await fleet.ingest('a', name, [VIDEO_TRACK, AUDIO_TRACK], () => (stream.#source.keyframeWanted = true));
    const out = await stream.#open(() => undefined);
    const send = (packet: Buffer) => out.send(packet, address.port, address.ip);
    const video = await stream.#open((packet) => stream.account.onVideo(packet, performance.now()));
    const audio = await stream.#open((packet) => stream.account.onAudio(packet));
    stream.#every(FRAME_MS, (nowMs) => stream.#source.nextFrame(nowMs).forEach(send));
    stream.#every(AUDIO_MS, (nowMs) => send(stream.#source.nextAudio(nowMs)));
    const to = (socket: Socket, track: number, payloadType: number, ssrc: number) => {
      const { address: ip, port } = socket.address();
      return { track, ip, port, payloadType, layers: [{ layer: 0, ssrc }] };
    };
    const attachments = [to(video, 0, 96, 7000), to(audio, 1, 97, 8000)];
    await fleet.call('b', { do: 'egress', stream: name, path: fleet.path(...path), backup: fleet.path(...backup), attachments });
    return stream;
  }

  private constructor() {
    this.account = new FrameAccount(this.#source);
  }

  stop(): void {
    this.#timers.forEach(clearTimeout);
    for (const socket of this.#sockets) socket.close();
  }

  async #open(onMessage: (packet: Buffer) => void): Promise<Socket> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 2 ** 20 });
    this.#sockets.push(socket);
    socket.on('message', onMessage);
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return socket;
  }

  /** Keeps the rate: what a late timer missed goes at once. */
  #every(periodMs: number, act: (nowMs: number) => void): void {
    const at = this.#timers.length;
    const startMs = performance.now();
    let count = 0;
    const tick = (): void => {
      for (; startMs + count * periodMs <= performance.now(); count++) act(performance.now());
      this.#timers[at] = setTimeout(tick, startMs + count * periodMs - performance.now());
    };
    this.#timers.push(setTimeout(tick, 0));
  }
}
