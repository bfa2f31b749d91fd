import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, test } from 'node:test';
import { sendReports } from '@millrace/testkit/media';
import { setTimeout as delay } from 'node:timers/promises';
import { isRtcp, RtpView } from '../rtp/index.ts';
import { idr, PPS, rtpPacket, slice, SPROP, SPS } from '@millrace/testkit/rtp';
import { eventually, newNetwork, startTestNode, type TestNode } from './node.fixture.ts';

/** A publisher of plain RTP as FFmpeg or an encoder box would be: 25 frames a second, a keyframe each second. */
class PlainPublisher {
  readonly socket: Socket;
  readonly to: { ip: string; port: number };
  readonly #parts: { setsInBand: 'never' | 'once' | 'always' };
  #seq = 1000;
  #timestamp = 50_000;
  frame = 0;
  sentFrames = 0;
  #timer: NodeJS.Timeout | undefined;
  #lose = 0;

  constructor(socket: Socket, to: { ip: string; port: number }, parts: { setsInBand: 'never' | 'once' | 'always' }) {
    this.socket = socket;
    this.to = to;
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => this.#sendFrame(), 20);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.socket.close();
  }

  /** So many packets from here on are lost on the way. */
  lose(packets: number): void {
    this.#lose = packets;
  }

  /** As a process that was started again: other numbers, another clock, and a keyframe first. */
  restart(seq: number, timestamp: number): void {
    this.#seq = seq;
    this.#timestamp = timestamp;
    this.frame = 0;
  }

  /** Its clock steps. */
  step(ms: number): void {
    this.#timestamp += ms * 90;
  }

  #sendFrame(): void {
    const isKeyframe = this.frame % 25 === 0;
    const { setsInBand } = this.#parts;
    if (isKeyframe && (setsInBand === 'always' || (setsInBand === 'once' && this.frame === 0))) {
      this.#send(SPS, false);
      this.#send(PPS, false);
    }
    this.#send(isKeyframe ? idr() : slice(), true);
    this.frame += 1;
    this.sentFrames += 1;
    this.#timestamp += 1800;
  }

  #send(payload: Buffer, marker: boolean): void {
    const packet = rtpPacket({ payloadType: 96, ssrc: 4711, seq: this.#seq, timestamp: this.#timestamp, marker, payload });
    this.#seq += 1;
    if (this.#lose > 0) this.#lose -= 1;
    else this.socket.send(packet, this.to.port, this.to.ip);
  }
}

interface Seen {
  seq: number;
  timestamp: number;
  atMs: number;
  /** NAL types in it. */
  nals: number[];
}

class PlainViewer {
  readonly socket: Socket;
  readonly seen: Seen[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    const view = new RtpView();
    socket.on('message', (packet) => {
      if (isRtcp(packet) || !view.parse(packet)) return;
      const payload = packet.subarray(view.payloadStart, view.payloadEnd);
      this.seen.push({ seq: view.seq, timestamp: view.timestamp, atMs: performance.now(), nals: nalTypes(payload) });
    });
  }

  /** Each number once and in order; timestamps that grow as time goes by, within what timers are late here. */
  assertContinuous(): void {
    for (let i = 1; i < this.seen.length; i++) {
      const [last, next] = [this.seen[i - 1]!, this.seen[i]!];
      assert.equal((next.seq - last.seq) & 0xffff, 1, `${next.seq} after ${last.seq}`);
      const stepMs = ((next.timestamp - last.timestamp) | 0) / 90;
      const elapsedMs = next.atMs - last.atMs;
      assert.ok(stepMs >= 0 && Math.abs(stepMs - elapsedMs) < 300, `a step of ${stepMs} ms in ${elapsedMs} ms`);
    }
  }

  /** Frames that a decoder shows: from a keyframe with its sets on, without a hole. */
  decodable(): number {
    let frames = 0;
    let isOpen = false;
    let sets = 0;
    this.seen.forEach(({ seq, nals }, i) => {
      if (i > 0 && ((seq - this.seen[i - 1]!.seq) & 0xffff) !== 1) isOpen = false;
      if (nals.includes(7)) sets |= 1;
      if (nals.includes(8)) sets |= 2;
      if (nals.includes(5)) isOpen = sets === 3;
      if (isOpen && nals.some((type) => type === 1 || type === 5)) frames += 1;
      if (nals.includes(1)) sets = isOpen ? 3 : 0;
    });
    return frames;
  }
}

function nalTypes(payload: Buffer): number[] {
  if ((payload[0]! & 0x1f) !== 24) return [payload[0]! & 0x1f];
  const types: number[] = [];
  for (let at = 1; at + 2 < payload.length; at += 2 + payload.readUInt16BE(at)) types.push(payload[at + 2]! & 0x1f);
  return types;
}

async function udp(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

async function open(node: TestNode, act: 'push' | 'pull', body: object): Promise<{ ip: string; port: number }> {
  const response = await fetch(`${node.url}/rtp/${act}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await node.token(act, 'live/*')}` },
    body: JSON.stringify({ stream: 'live/camera', ...body }),
  });
  const text = await response.text();
  assert.equal(response.status, 201, text);
  return JSON.parse(text) as { ip: string; port: number };
}

async function publish(
  node: TestNode,
  setsInBand: 'never' | 'once' | 'always',
  parameters: Record<string, string | number> = {},
): Promise<PlainPublisher> {
  const socket = await udp();
  const to = await open(node, 'push', {
    address: { ip: '127.0.0.1', port: socket.address().port },
    tracks: [
      {
        kind: 'video',
        mimeType: 'video/H264',
        payloadType: 96,
        clockRate: 90_000,
        ssrc: 4711,
        parameters: { 'packetization-mode': 1, 'profile-level-id': '64001f', ...parameters },
      },
    ],
  });
  const publisher = new PlainPublisher(socket, to, { setsInBand });
  publisher.start();
  closers.push(() => publisher.stop());
  return publisher;
}

async function play(node: TestNode): Promise<PlainViewer> {
  const socket = await udp();
  closers.push(() => socket.close());
  const viewer = new PlainViewer(socket);
  sendReports(socket, await open(node, 'pull', { address: { ip: '127.0.0.1', port: socket.address().port } }));
  return viewer;
}

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(options: Parameters<typeof startTestNode>[0] = {}): Promise<TestNode> {
  const node = await startTestNode(options);
  closers.push(() => node.close());
  return node;
}

describe('an H.264 publisher on the whole way through the workers', { timeout: 60_000 }, () => {
  const cases = [
    ['only in sprop-parameter-sets', 'never', { 'sprop-parameter-sets': SPROP }],
    ['once, at the start', 'once', {}],
    ['with each keyframe', 'always', {}],
  ] as const;
  for (const [when, setsInBand, parameters] of cases) {
    test(`whose parameter sets come ${when} plays for late viewers, over a trunk, and after loss`, async () => {
      const network = newNetwork();
      const origin = await start({ name: 'node-1', network });
      const edge = await start({ name: 'node-2', network });
      const publisher = await publish(origin, setsInBand, parameters);
      await delay(700);
      const [near, far] = [await play(origin), await play(edge)];
      await eventually('two seconds of frames', () => near.decodable() > 80 && far.decodable() > 80);
      publisher.lose(3);
      const before = far.decodable();
      await eventually('frames after the loss', () => far.decodable() > before + 60);
      const late = await play(edge);
      await eventually('frames at a late viewer', () => late.decodable() > 50);
    });
  }

  const jumps: [what: string, act: (publisher: PlainPublisher) => void][] = [
    ['starts again with other numbers and another clock', (publisher) => publisher.restart(41_000, 3_000_000_000)],
    ['starts again with numbers that were just used', (publisher) => publisher.restart(700, 900_000_000)],
    ['steps its clock forward by 10 s', (publisher) => publisher.step(10_000)],
    ['steps its clock back by 10 s', (publisher) => publisher.step(-10_000)],
  ];
  for (const [what, act] of jumps) {
    test(`that ${what} is followed without a step`, async () => {
      const node = await start();
      const publisher = await publish(node, 'always');
      const viewer = await play(node);
      await eventually('a second of frames', () => viewer.decodable() > 50);
      const [before, sent] = [viewer.decodable(), publisher.sentFrames];
      act(publisher);
      await eventually('frames after it', () => publisher.sentFrames > sent + 60);
      await delay(100);
      const shown = viewer.decodable() - before;
      const after = publisher.sentFrames - sent;
      assert.ok(shown >= after - 3, `${shown} of ${after} frames after it are shown`);
      viewer.assertContinuous();
    });
  }
});
