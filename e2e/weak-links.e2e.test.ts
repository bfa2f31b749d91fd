import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { UdpNetwork } from '@millrace/link-emulator';
import { AUDIO_MS, FrameAccount, FRAME_MS, FrameSource } from '@millrace/testkit/rtp';
import { AUDIO_TRACK, VIDEO_TRACK } from '@millrace/testkit/rtp';
import { buildGraph, disjointPaths, judgeLinks, weightsFor } from '@millrace/operator/routing';
import { eventually } from '@millrace/testbed/network';
import { RelayFleet } from './src/relay-fleet.ts';

const SECONDS = Number(process.env['MILLRACE_WEAK_LINK_SECONDS'] ?? 180);
/** How long packets in flight at the end may take to arrive, ms. */
const TAIL_MS = 2_000;
const WEAK = 'live/weak';
const CONTROL = 'live/control';
const WEAK_PATH = ['y', 'x', 'a'];
const OTHER_PATH = ['y', 'w', 'a'];
/** Minimum share of calm seconds; with fewer, the test is skipped. */
const MIN_CALM_SHARE = 1 / 3;
const FREEZE_MS = 200;
/** A delay of the control stream, over a link without loss, or of the emulator that shows that the machine is busy, not the link weak, ms. */
const BUSY_MS = 100;
const EMULATOR_LATE_MS = 20;
/** How long a busy second affects the following ones, ms: a retransmission takes an RTT or two. */
const FELT_FOR_MS = 1_000;

/**
 * Origin a and the viewers' node b, with two paths from a to y: over x and over w, with 80 ms of RTT each. Only the link between x and y is
 * weak. The control stream goes over w, through the same end nodes and y, so that a busy machine affects both streams alike.
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
    weak = await Stream.start(fleet, WEAK, WEAK_PATH, OTHER_PATH);
    control = await Stream.start(fleet, CONTROL, OTHER_PATH, []);
    await delay(3_000);
  });
  after(async () => {
    weak?.stop();
    control?.stop();
    await fleet?.stop();
  });

  test(`10% loss on the middle hop: 99% of the frames of ${SECONDS} s are decodable, and nothing freezes for ${FREEZE_MS} ms`, async (t) => {
    fleet.network.changeBoth('x', 'y', { loss: 0.1 });
    // Relays must have measured the loss before they can protect against it.
    await delay(3_000);
    const bytes = (from: string) => fleet.network.link(from, 'y').there.counters.offeredBytes;
    const sent = { weak: -bytes('x'), control: -bytes('w') };
    const fromMs = performance.now();
    const seconds = await secondBySecond(fleet);
    const toMs = performance.now() - TAIL_MS;
    sent.weak += bytes('x');
    sent.control += bytes('w');
    // Any pause of the control stream beyond one frame interval is caused by the machine.
    const noisy = seconds.map(({ latestMs, endMs }) => {
      const { longestFreezeMs, decodable } = control.account.showing(endMs - 1_000 - FELT_FOR_MS, endMs + FELT_FOR_MS);
      const isBusy = latestMs > EMULATOR_LATE_MS || longestFreezeMs > BUSY_MS || decodable < 1;
      return { endMs, noiseMs: isBusy ? Infinity : Math.max(0, longestFreezeMs - FRAME_MS) };
    });
    const noiseAt = (ms: number) =>
      Math.max(0, ...noisy.filter(({ endMs }) => ms > endMs - 1_000 && ms < endMs + FELT_FOR_MS).map(({ noiseMs }) => noiseMs));
    const isCalm = (ms: number) => noiseAt(ms) < Infinity;
    const [seen, beside] = [weak.account.showing(fromMs, toMs), control.account.showing(fromMs, toMs)];
    const calm = weak.account.frames(fromMs, toMs).filter(({ sentMs }) => isCalm(sentMs));
    const decodable = calm.filter(({ shownMs }) => shownMs !== undefined).length / calm.length;
    const longestFreezeMs = longestFreeze(calm, noiseAt);
    const figures = JSON.stringify({
      calmSeconds: Math.round((calm.length * FRAME_MS) / 1_000),
      leftSeconds: seconds.filter(({ left }) => left).length,
      decodable,
      longestFreezeMs,
      weak: seen,
      control: beside,
      sentToControl: sent.weak / sent.control,
      emulatorLateMs: Math.max(...seconds.map(({ latestMs }) => latestMs)),
    });
    t.diagnostic(figures);
    if (calm.length * FRAME_MS < MIN_CALM_SHARE * SECONDS * 1_000) return t.skip(`the machine is too busy to judge: ${figures}`);
    assert.ok(decodable >= 0.99, figures);
    assert.ok(seen.heard >= beside.heard - 0.01, figures);
    assert.ok(longestFreezeMs < FREEZE_MS, figures);
    // A machine that is too busy loses trunks; but in a calm second a weak link must not count as down.
    assert.deepEqual(
      seconds.filter(({ endMs, left }) => left && isCalm(endMs - 500)),
      [],
      figures,
    );
  });

  test('traffic is rerouted around a link that is cut in one direction, and routes computed from the reports of the relays agree', async (t) => {
    fleet.network.changeBoth('x', 'y', { loss: 0 });
    await delay(2_000);
    const takes = (nodes: readonly string[]) =>
      eventually(`the path is ${nodes.join()}`, 10_000, async () =>
        (await fleet.pathOf('b', WEAK)).join() === nodes.join() ? true : undefined,
      );
    await takes(WEAK_PATH);
    const fromMs = performance.now();
    fleet.network.change('x', 'y', { cut: true });
    await eventually('the path changes', 10_000, async () => ((await fleet.pathOf('b', WEAK)).includes('w') ? true : undefined));
    t.diagnostic(`path changed within ${(performance.now() - fromMs).toFixed(0)} ms`);
    const hops = await eventually('relays call the link down', 10_000, async () => {
      const best = await bestPath(fleet);
      return best.includes('x') ? undefined : best;
    });
    assert.deepEqual(hops, ['b', 'y', 'w', 'a']);
    await fleet.call('b', { do: 'reroute', stream: WEAK, path: hops.slice(1), backup: [] });
    await delay(3_000 + TAIL_MS);
    await takes(OTHER_PATH);
    const toMs = performance.now() - TAIL_MS;
    const [seen, beside] = [weak.account.showing(fromMs, toMs), control.account.showing(fromMs, toMs)];
    t.diagnostic(JSON.stringify({ weak: seen, control: beside }));
    assert.ok(seen.decodable >= beside.decodable - 0.05, JSON.stringify({ weak: seen, control: beside }));
  });
});

interface Second {
  endMs: number;
  /** Maximum lateness of the emulator, ms. */
  latestMs: number;
  /** Whether the stream had left the weak link, for another path or for none. */
  left: boolean;
}

/** Records each second of the run. Moves a stream that left the weak link back to it, since that link is under test. */
async function secondBySecond(fleet: RelayFleet): Promise<Second[]> {
  const seconds: Second[] = [];
  fleet.network.takeLateness();
  for (const startMs = performance.now(); performance.now() - startMs < SECONDS * 1000;) {
    await delay(Math.max(0, startMs + (seconds.length + 1) * 1000 - performance.now()));
    const left = !(await fleet.pathOf('b', WEAK)).includes('x');
    if (left) {
      await fleet.call('b', { do: 'reroute', stream: WEAK, path: [...WEAK_PATH], backup: [...OTHER_PATH] });
    }
    seconds.push({ endMs: performance.now(), latestMs: fleet.network.takeLateness().maxMs, left });
  }
  return seconds;
}

/** Longest time between two displayed frames, less the delay that the machine may have caused; busy periods do not count. */
function longestFreeze(frames: { sentMs: number; shownMs: number | undefined }[], noiseAt: (ms: number) => number): number {
  const shown = frames.flatMap(({ shownMs }) => shownMs ?? []);
  return shown.slice(1).reduce((longest, atMs, i) => {
    const gapMs = atMs - shown[i]!;
    if (gapMs <= longest) return longest;
    const steps = Math.ceil(gapMs / FREEZE_MS);
    const noiseMs = Math.max(...Array.from({ length: steps + 1 }, (_, step) => noiseAt(shown[i]! + (gapMs * step) / steps)));
    return Math.max(longest, gapMs - noiseMs);
  }, 0);
}

/** Computes the path as the operator would: links judged from both ends' reports, then the cheapest path of the graph. */
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

/** A publisher at a and a viewer at b, with 30 video frames and 50 audio packets per second. */
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
      return { track, ip, port, payloadType, layers: [{ rank: 0, ssrc }] };
    };
    const attachments = [to(video, 0, 96, 7000), to(audio, 1, 97, 8000)];
    await fleet.call('b', { do: 'egress', stream: name, path: [...path], backup: [...backup], attachments });
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

  /** Keeps the rate: sends at once what a late timer missed. */
  #every(periodMs: number, act: (nowMs: number) => void): void {
    const at = this.#timers.length;
    const startMs = performance.now();
    let count = 0;
    const tick = (): void => {
      for (; startMs + count * periodMs <= performance.now(); count++) act(performance.now());
      this.#timers[at] = setTimeout(tick, Math.max(0, startMs + count * periodMs - performance.now()));
    };
    this.#timers.push(setTimeout(tick, 0));
  }
}
