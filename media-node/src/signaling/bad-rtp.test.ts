import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { sendReports } from '@millrace/testkit/media';
import { seededRandom } from '@millrace/service';
import { rtpPacket } from '@millrace/testkit/rtp';
import { eventually, startTestNode, type TestNode } from './node.fixture.ts';
import { vp8Frame } from '@millrace/testkit/webrtc';

const VIDEO = { kind: 'video', mimeType: 'video/VP8', payloadType: 96, clockRate: 90000, ssrc: 4711 };
const source = seededRandom(11);
const random = (below: number): number => Math.floor(source() * below);
const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => random(256)));

async function socketOn(): Promise<Socket & { received: number }> {
  const socket = Object.assign(createSocket('udp4'), { received: 0 });
  socket.on('message', (message) => {
    if (message[1]! < 192 || message[1]! > 223) socket.received += 1;
  });
  socket.on('error', () => undefined);
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

function garbage(): Buffer {
  const whole = rtpPacket({
    payloadType: random(128),
    ssrc: random(3) === 0 ? VIDEO.ssrc : random(2 ** 32),
    seq: random(65_536),
    timestamp: random(2 ** 32),
    ...(random(2) === 0 ? { extensions: { [1 + random(14)]: bytes(1 + random(15)) }, twoByte: random(2) === 0 } : {}),
    payload: bytes(random(200)),
  });
  switch (random(7)) {
    case 0:
      return bytes(random(100));
    case 1:
      return whole.subarray(0, random(whole.length));
    case 2:
      whole[0] = 0x80 | random(64);
      return whole;
    case 3: {
      const rtcp = bytes(8 + 4 * random(20));
      rtcp.set([0x80 | random(32), 192 + random(32), 0, random(25)]);
      return rtcp;
    }
    case 4: // STUN and DTLS heads, where there is neither.
      return Buffer.concat([Buffer.from([random(2) === 0 ? 0 : 20 + random(44), random(256)]), bytes(random(100))]);
    case 5:
      return Buffer.alloc(9000, 0x80);
    default:
      return whole;
  }
}

const residentMiB = (pid: number): number =>
  (Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024) / 2 ** 20;

describe('whatever comes over UDP', { timeout: 120_000 }, () => {
  let node: TestNode;
  let publisher: Socket & { received: number };
  let ingestPort = 0;

  before(async () => {
    node = await startTestNode();
    const ingest = node.relay.ingest.bind(node.relay);
    node.relay.ingest = async (request) => {
      const opened = await ingest(request);
      ingestPort = opened.address.port;
      return opened;
    };
    publisher = await socketOn();
  });
  after(async () => {
    publisher.close();
    await node.close();
  });

  async function open(act: 'push' | 'pull', socket: Socket, more: object = {}): Promise<{ port: number; session: string }> {
    const response = await fetch(`${node.url}/rtp/${act}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await node.token(act, 'live/*')}` },
      body: JSON.stringify({ stream: 'live/rtp', address: { ip: '127.0.0.1', port: socket.address().port }, ...more }),
    });
    assert.equal(response.status, 201, await response.clone().text());
    return (await response.json()) as { port: number; session: string };
  }

  test('a publisher’s port, a WebRTC port and the relay’s own socket outlive a flood, and media goes on', async () => {
    const [pid] = node.cores.pids;
    const pushed = await open('push', publisher, { tracks: [VIDEO] });
    const viewer = await socketOn();
    sendReports(viewer, { ip: '127.0.0.1', ...(await open('pull', viewer)) });
    let frame = 0;
    const send = (): void => {
      const fields = { payloadType: 96, ssrc: 4711, seq: frame, timestamp: frame * 3000, marker: true };
      publisher.send(rtpPacket({ ...fields, payload: vp8Frame(frame % 30 === 0) }), pushed.port, '127.0.0.1');
      frame += 1;
    };
    const timer = setInterval(send, 20);
    await eventually('media flows', () => viewer.received > 20);

    const stranger = await socketOn();
    const targets = [...node.cores.ports, ingestPort, pushed.port];
    const refusedBefore = (await node.relay.stats()).refusedRtp;
    const residentBefore = residentMiB(pid!);
    const heldBefore = process.memoryUsage().rss / 2 ** 20;
    for (let i = 0; i < 30_000; i++) {
      const packet = garbage();
      // From the publisher's own address too: its own port knows no stranger then.
      publisher.send(packet, pushed.port, '127.0.0.1');
      stranger.send(packet, targets[i % targets.length], '127.0.0.1');
      if (i % 100 === 0) await new Promise(setImmediate);
    }
    assert.deepEqual([...node.cores.pids], [pid], 'the worker is the same');
    assert.ok(residentMiB(pid!) - residentBefore < 64, `the worker grew by ${residentMiB(pid!) - residentBefore} MiB`);
    assert.ok(process.memoryUsage().rss / 2 ** 20 - heldBefore < 150, 'the node did not grow without end');

    // What a stranger sends to the relay's socket is not even read: it belongs to the worker's.
    const { refusedRtp } = await node.relay.stats();
    assert.equal(refusedRtp['malformed'], refusedBefore['malformed'], JSON.stringify(refusedRtp));
    assert.equal(refusedRtp['unknown-ssrc'], refusedBefore['unknown-ssrc'], JSON.stringify(refusedRtp));
    const seen = viewer.received;
    // The flood spoilt the sequence of the publisher's own SSRC; a keyframe of a stream that goes on is shown again.
    await eventually('media goes on', () => viewer.received > seen + 20, 20_000);
    clearInterval(timer);
    stranger.close();
    viewer.close();
    await fetch(`${node.url}/rtp/sessions/${pushed.session}`, { method: 'DELETE' });
  });
});
