import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, describe, test } from 'node:test';
import type { PublisherStatus } from '@millrace/api';
import { sendReports } from '@millrace/testkit/media';
import { newPlayer, newPublisher } from '@millrace/testkit/webrtc';
import { eventually, startTestNode, type TestNode } from './node.fixture.ts';

const MAX_KBPS = 500;
const FRAME_MS = 40;
const FRAMES_BETWEEN_KEYFRAMES = 25;
const PACKETS_OF_FRAME = 6;
const PAYLOAD_BYTES = 1100;
/** About 1,340 kbit/s. */
const SENT_KBPS = (PACKETS_OF_FRAME * (PAYLOAD_BYTES + 12) * 8) / FRAME_MS;

interface Received {
  sequence: number;
  timestamp: number;
  starts: boolean;
  isKeyframe: boolean;
  marker: boolean;
  bytes: number;
}

describe('a publisher above maxPublishKbps', { timeout: 60_000 }, () => {
  const closers: (() => unknown)[] = [];
  after(async () => {
    for (const close of closers.reverse()) await close();
  });

  async function socketOn(): Promise<Socket> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    closers.push(() => socket.close());
    return socket;
  }

  async function open(node: TestNode, act: 'push' | 'pull', socket: Socket, more: object = {}) {
    const response = await fetch(`${node.url}/rtp/${act}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await node.token(act, 'live/*')}` },
      body: JSON.stringify({ stream: 'live/wide', address: { ip: '127.0.0.1', port: socket.address().port }, ...more }),
    });
    assert.equal(response.status, 201, await response.clone().text());
    return (await response.json()) as { session: string; ip: string; port: number };
  }

  /** VP8 frames of several packets (RFC 7741), a keyframe each second. */
  function sendVideo(socket: Socket, port: number): void {
    let frame = 0;
    let sequence = 0;
    const timer = setInterval(() => {
      for (let packet = 0; packet < PACKETS_OF_FRAME; packet++) {
        const rtp = Buffer.alloc(12 + PAYLOAD_BYTES);
        rtp[0] = 0x80;
        rtp[1] = 96 | (packet === PACKETS_OF_FRAME - 1 ? 0x80 : 0);
        rtp.writeUInt16BE((sequence += 1) & 0xffff, 2);
        rtp.writeUInt32BE(frame * 90 * FRAME_MS, 4);
        rtp.writeUInt32BE(4711, 8);
        rtp[12] = packet === 0 ? 0x10 : 0;
        rtp[13] = packet === 0 && frame % FRAMES_BETWEEN_KEYFRAMES === 0 ? 0 : 1;
        socket.send(rtp, port, '127.0.0.1');
      }
      frame += 1;
    }, FRAME_MS);
    closers.push(() => clearInterval(timer));
  }

  test('is throttled by whole frames up to a keyframe, seen in its status, and ended with rate and limit', async () => {
    const node = await startTestNode({ policy: { maxPublishKbps: MAX_KBPS }, maxAboveMs: 10_000 });
    closers.push(() => node.close());
    const [publisher, viewer] = [await socketOn(), await socketOn()];
    const received: Received[] = [];
    viewer.on('message', (packet) => {
      if (packet[1]! >= 192 && packet[1]! <= 223) return;
      const payload = packet.length - PAYLOAD_BYTES;
      const starts = (packet[payload]! & 0x17) === 0x10;
      received.push({
        sequence: packet.readUInt16BE(2),
        timestamp: packet.readUInt32BE(4),
        starts,
        isKeyframe: starts && (packet[payload + 1]! & 1) === 0,
        marker: packet[1]! >= 0x80,
        bytes: packet.length,
      });
    });
    const tracks = [{ kind: 'video', mimeType: 'video/VP8', payloadType: 96, clockRate: 90_000, ssrc: 4711 }];
    const pushed = await open(node, 'push', publisher, { tracks });
    sendVideo(publisher, pushed.port);
    await eventually('the push connected', () => node.sessions.get(pushed.session)?.state === 'connected');
    sendReports(viewer, await open(node, 'pull', viewer));
    await eventually('media', () => received.length > 0);
    const startMs = performance.now();
    const status = await eventually(
      'figures',
      () => {
        const known = node.sessions.get(pushed.session)?.publisher;
        return (known?.throttled?.kbps ?? 0) > 0 && known;
      },
      15_000,
    );
    assert.ok(Math.abs(status.throttled!.kbps / SENT_KBPS - 1) < 0.25, JSON.stringify(status));
    assert.equal(status.throttled!.maxKbps, MAX_KBPS);
    assert.match(status.detail!, /more than the 500 kbit\/s that its StreamRoute allows/);
    const response = await eventually(
      'the end',
      async () => {
        const now = await fetch(`${node.url}/rtp/sessions/${pushed.session}`);
        return now.status === 404 && now;
      },
      30_000,
    );
    const seconds = (performance.now() - startMs) / 1000;
    const { detail } = (await response.json()) as { detail: string };
    assert.match(
      detail,
      /the publisher stayed above its bit rate limit: 1[0-9]{3} kbit\/s, at most 500 \(quality\.maxPublishKbps\)/,
    );

    const kbps = (received.reduce((sum, { bytes }) => sum + bytes, 0) * 8) / 1000 / seconds;
    // The bucket's 2 s come on top of what the limit lets pass.
    assert.ok(kbps < MAX_KBPS * 1.1 * (1 + 2 / seconds) * 1.1, `${Math.round(kbps)} kbit/s in ${seconds} s`);
    assert.ok(kbps > MAX_KBPS * 0.6, `${Math.round(kbps)} kbit/s`);
    const frames = Map.groupBy(received, ({ timestamp }) => timestamp);
    for (const [timestamp, packets] of frames) assert.equal(packets.length, PACKETS_OF_FRAME, `frame ${timestamp}`);
    const jumps = received.filter(
      ({ sequence }, index) => index > 0 && sequence !== ((received[index - 1]!.sequence + 1) & 0xffff),
    );
    assert.equal(jumps.length, 0, 'viewers see no gap');
    const times = [...frames.keys()];
    const afterGaps = times.filter((timestamp, index) => index > 0 && timestamp - times[index - 1]! > 90 * FRAME_MS);
    assert.ok(afterGaps.length > 0, 'something was withheld');
    for (const timestamp of afterGaps) assert.ok(frames.get(timestamp)![0]!.isKeyframe, `frame ${timestamp} after a gap`);
    const { refusedRtp } = await node.relay.stats();
    assert.ok(refusedRtp['above-limit']! > 0);
  });

  test('over WebRTC too: video plays a part of the time, audio all of it, until the session ends', async () => {
    const node = await startTestNode({ policy: { maxPublishKbps: 60 }, maxAboveMs: 8000 });
    closers.push(() => node.close());
    const sdp = { 'content-type': 'application/sdp' };
    // Synthetic video of about 100 kbit/s, which no REMB makes smaller, and audio of 17.
    const publisher = await newPublisher();
    closers.push(() => publisher.close());
    const pushed = await fetch(`${node.url}/whip/live/web`, { method: 'POST', headers: sdp, body: publisher.offer });
    const session = pushed.headers.get('location')!.split('/').at(-1)!;
    await publisher.accept(await pushed.text());
    await eventually('the push flows', () => publisher.sent.video > 5);
    const player = await newPlayer();
    closers.push(() => player.close());
    const pulled = await fetch(`${node.url}/whep/live/web`, { method: 'POST', headers: sdp, body: player.offer });
    await player.accept(await pulled.text());
    await eventually('the player has both', () => player.received.video > 0 && player.received.audio > 0);
    const figures = (): PublisherStatus['throttled'] => node.sessions.get(session)?.publisher?.throttled;
    const { kbps } = await eventually('figures', () => (figures()?.kbps ? figures() : undefined), 15_000);
    assert.ok(kbps > 90 && kbps < 150, `${kbps} kbit/s`);
    const [sent, received] = [{ ...publisher.sent }, { ...player.received }];
    const reasons: string[] = [];
    node.sessions.once('removed', ({ endLabel }, reason) => reasons.push(endLabel ?? '', reason));
    await eventually('the end', () => reasons.length > 0, 30_000);
    const audio = (player.received.audio - received.audio) / (publisher.sent.audio - sent.audio);
    const video = (player.received.video - received.video) / (publisher.sent.video - sent.video);
    assert.ok(audio > 0.9, `audio: ${audio}`);
    assert.ok(video < 0.8, `video: ${video}`);
    assert.equal(reasons[0], 'the publisher stayed above its bit rate limit');
    assert.match(reasons[1]!, /: 1[0-9]{2} kbit\/s, at most 60 \(quality\.maxPublishKbps\)$/);
  });
});
