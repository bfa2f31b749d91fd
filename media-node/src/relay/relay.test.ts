import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, describe, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { createLogger } from '@millrace/service';
import { quietLogger } from '@millrace/testkit';
import { h264Payload, rtpPacket } from '@millrace/testkit/rtp';
import { isRtcp, readRtcp, writePli, writeSenderReport } from '../rtp/index.ts';
import type { EgressHandle } from './handles.ts';
import { Relay, type RelayConfiguration } from './relay.ts';

const logger = createLogger({ service: 'relay-test', level: 'silent' });
const mesh = {
  name: 'test',
  keys: [{ id: 'k1', secret: Buffer.alloc(32, 7).toString('base64') }],
  kcp: { intervalMs: 10, fastResend: 2, sendWindow: 1024, receiveWindow: 1024, deadlineMs: 600 },
  fec: { mode: 'Off' as const, dataShards: 10, parityShards: 2 },
  rateCapMbps: 1000,
  probeIntervalMs: 1000,
  // Other processes take the processor for longer than a healthy node is silent.
  fastReroute: { heartbeatMs: 60, sensitivity: 'Low' as const },
};
const video = {
  track: 0,
  kind: 'video' as const,
  codec: { mimeType: 'video/H264', payloadType: 102, clockRate: 90_000 },
  headerExtensions: [],
  layers: [{ layer: 0, ssrc: 1000 }],
};

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

async function relay(node: string, thread: boolean, host = '127.0.0.1', to = logger): Promise<Relay> {
  const started = await Relay.start({ trunk: { host, port: 0 }, logger: to, self: { node }, roles: ['relay'], thread });
  closers.push(() => started.close());
  await started.configure({ mesh, peers: [], probe: [] });
  return started;
}

async function udp(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  closers.push(() => void socket.close());
  return socket;
}

const peerAt = (node: string, at: Relay, host = '127.0.0.1') => ({ node, region: 'any', host, port: at.trunkPort });

/** As in their settings: each of the relays may dial these nodes. */
async function acquaint(relays: Relay[], peers: RelayConfiguration['peers']): Promise<void> {
  for (const one of relays) await one.configure({ mesh, peers, probe: [] });
}

/** Sends a packet each 4 ms and collects the RTP that comes out, until `count` came. */
async function pump(out: Socket, send: (n: number) => void, count: number): Promise<Buffer[]> {
  const received: Buffer[] = [];
  out.on('message', (packet) => {
    if (!isRtcp(packet)) received.push(packet);
  });
  for (let n = 0; n < 5000 && received.length < count; n++) {
    send(n);
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
  return received;
}

describe('relays on real sockets', () => {
  for (const thread of [true, false]) {
    test(`RTP goes in at one, over a second, out at a third (${thread ? 'in threads' : 'in process'})`, async () => {
      const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((node) => relay(node, thread)));
      await acquaint([b!, c!], [peerAt('a', a!), peerAt('b', b!)]);
      const ingest = await a!.ingest({ stream: 'live/demo', epoch: 1000, tracks: [video], rttMs: 1 });
      const egress: EgressHandle = await c!.egress({ stream: 'live/demo', path: ['b', 'a'], lingerMs: 1000 });
      assert.equal((await egress.described(30_000)).epoch, 1000);
      const out = await udp();
      const place = { ip: '127.0.0.1', port: out.address().port };
      const from = await egress.attach(0, { ...place, payloadType: 96, layers: [{ rank: 0, ssrc: 7000 }] });

      const publisher = await udp();
      const send = (packet: Buffer) => publisher.send(packet, ingest.address.port, ingest.address.ip);
      const packets = await pump(
        out,
        (n) => {
          const payload = h264Payload(n % 50 === 0 ? 'keyframe' : 'delta', 1000);
          send(rtpPacket({ payloadType: 102, ssrc: 1000, seq: 65_000 + n, timestamp: n * 900, marker: true, payload }));
        },
        300,
      );
      assert.ok(packets.length >= 300);
      const steps = packets.slice(1).map((packet, i) => (packet.readUInt16BE(2) - packets[i]!.readUInt16BE(2)) & 0xffff);
      const missing = steps.reduce((sum, step) => sum + step - 1, 0);
      assert.ok(
        steps.every((step) => step > 0 && step < 0x8000),
        'in order, once',
      );
      assert.ok(missing <= (await egress.stats()).lost, `${missing} packets are missing without the relay knowing`);
      for (const packet of packets) assert.deepEqual([packet.readUInt32BE(8), packet[1]! & 0x7f], [7000, 96]);
      assert.deepEqual((await egress.stats()).nodes, ['b', 'a']);
      assert.deepEqual(
        (await c!.links()).map(({ peer, state }) => ({ peer, state })),
        [{ peer: 'b', state: 'Up' }],
      );

      // A viewer's PLI reaches the publisher; the publisher's sender report reaches mediasoup with the viewer's SSRC.
      const keyframe = once(ingest, 'keyframe');
      out.send(writePli(1, 7000), from.port, from.ip);
      assert.deepEqual(await keyframe, [0, 0]);
      const reports: unknown[] = [];
      out.on('message', (packet) => {
        if (isRtcp(packet)) readRtcp(packet, { senderReport: (report) => reports.push(report) });
      });
      send(writeSenderReport({ ssrc: 1000, ntpSeconds: 5, ntpFraction: 6, rtpTimestamp: 299 * 900, packets: 1, octets: 1 }));
      await once(out, 'message');
      assert.deepEqual(reports, [{ ssrc: 7000, ntpSeconds: 5, ntpFraction: 6, rtpTimestamp: 299 * 900 }]);

      const ended = once(egress, 'ended');
      await ingest.close('publisher left');
      assert.deepEqual(await ended, ['publisher left']);
      await egress.close();
    });
  }

  test('RTP goes from a node with IPv4 alone, over a relay with both families, to a node with IPv6 alone', async () => {
    const [a, b, c] = await Promise.all([relay('a', true), relay('b', true, '::'), relay('c', true, '::1')]);
    const ingest = await a.ingest({ stream: 'live/families', epoch: 1, tracks: [video], rttMs: 1 });
    // As in a node's settings: the relay's hosts of both families, of which a peer uses those that it can reach.
    await acquaint([b, c], [{ ...peerAt('b', b, '127.0.0.1'), otherHosts: ['::1'] }, peerAt('a', a)]);
    const egress = await c.egress({ stream: 'live/families', path: ['b', 'a'], lingerMs: 1000 });
    assert.equal((await egress.described(10_000)).epoch, 1);
    const out = await udp();
    await egress.attach(0, { ip: '127.0.0.1', port: out.address().port, payloadType: 96, layers: [{ rank: 0, ssrc: 7000 }] });
    const publisher = await udp();
    const payload = h264Payload('keyframe', 1000);
    const packets = await pump(
      out,
      (n) => {
        const packet = rtpPacket({ payloadType: 102, ssrc: 1000, seq: n, timestamp: n * 900, marker: true, payload });
        publisher.send(packet, ingest.address.port, ingest.address.ip);
      },
      100,
    );
    assert.ok(packets.length >= 100);
    assert.deepEqual((await egress.stats()).nodes, ['b', 'a']);
    await egress.close();
    await ingest.close('the end');
  });

  test('nodes without a common address family do not reach each other, and the log says why', async () => {
    const { logger: recorder, lines } = quietLogger();
    const [a, c] = await Promise.all([relay('a', true), relay('c', true, '::1', recorder)]);
    const ingest = await a.ingest({ stream: 'live/apart', epoch: 1, tracks: [video], rttMs: 1 });
    await acquaint([c], [peerAt('a', a)]);
    const egress = await c.egress({ stream: 'live/apart', path: ['a'], lingerMs: 1000 });
    await assert.rejects(egress.described(3_000), /a does not answer/);
    assert.match(
      lines.map(({ msg }) => msg).join('\n'),
      /no trunk to a: none of its hosts \(127\.0\.0\.1\).*from ::1.*one family/,
    );
    await egress.close();
    await ingest.close('the end');
  });

  test('a second relay on the same port is refused with the reason', async () => {
    const first = await relay('a', true);
    const second = Relay.start({ trunk: { host: '127.0.0.1', port: first.trunkPort }, logger, self: { node: 'b' }, roles: [] });
    await assert.rejects(second, /EADDRINUSE/);
  });

  test('an error of a command travels to the caller', async () => {
    const one = await relay('a', true);
    const egress = await one.egress({ stream: 'live/demo', path: [], lingerMs: 0 });
    await egress.close();
    await assert.rejects(egress.setLayers(0, 1), /is closed/);
  });

  test('a pull of a stream that nobody publishes rejects with the reason', async () => {
    const [a, c] = await Promise.all(['a', 'c'].map((node) => relay(node, true)));
    await acquaint([c!], [peerAt('a', a!)]);
    const egress = await c!.egress({ stream: 'live/none', path: ['a'], lingerMs: 0 });
    await assert.rejects(egress.described(2000), /live\/none is not published on a/);
    await egress.close();
  });

  test('a thread that dies is heard of by whoever waits, and by the node', async () => {
    const created = once(process, 'worker') as Promise<[Worker]>;
    const one = await Relay.start({ trunk: { host: '127.0.0.1', port: 0 }, logger, self: { node: 'a' }, roles: [] });
    const [worker] = await created;
    const egress = await one.egress({ stream: 'live/demo', path: [], lingerMs: 0 });
    const failed = once(one, 'failed');
    const lost = once(egress, 'lost');
    // It ends before it can read the request; nobody here has heard of that yet.
    void worker.terminate();
    await assert.rejects(egress.stats(), /relay thread exited/);
    assert.match(String((await lost)[0]), /thread is gone/);
    assert.ok((await failed)[0] instanceof Error);
    await assert.rejects(one.links(), /thread is gone/);
  });
});
