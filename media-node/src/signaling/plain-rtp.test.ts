import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RtpHeader, RtpPacket } from 'werift';
import { eventually, newNetwork, startTestNode, type TestNode } from './node.fixture.ts';
import { vp8Frame } from '@millrace/testkit/webrtc';

const FROM = { address: { ip: '127.0.0.1', port: 5004 } };
const VIDEO = { kind: 'video', mimeType: 'video/VP8', payloadType: 96, clockRate: 90000, ssrc: 4711 };

interface Opened {
  session: string;
  ip: string;
  port: number;
  srtp?: { cryptoSuite: string; keyBase64: string };
  tracks: { track: number; mimeType: string; payloadType: number; ssrc?: number }[];
}

describe('plain RTP', { timeout: 60_000 }, () => {
  async function open(
    node: TestNode,
    act: 'push' | 'pull',
    body: object,
    expected = 201,
    claims: { rtpTo?: string } = {},
  ): Promise<Opened> {
    const token = await node.token(act, 'live/*', claims);
    const response = await fetch(`${node.url}/rtp/${act}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ stream: 'live/native', ...body }),
    });
    const text = await response.text();
    assert.equal(response.status, expected, text);
    return JSON.parse(text) as Opened;
  }

  async function socketOn(address = '127.0.0.1'): Promise<Socket & { packets: RtpPacket[] }> {
    const socket = Object.assign(createSocket('udp4'), { packets: [] as RtpPacket[] });
    socket.on('message', (message) => {
      const isRtcp = message[1]! >= 192 && message[1]! <= 223;
      if (!isRtcp) socket.packets.push(RtpPacket.deSerialize(message));
    });
    socket.bind(0, address);
    await once(socket, 'listening');
    return socket;
  }

  function sendVideo(from: Socket, to: { ip: string; port: number }): NodeJS.Timeout {
    let frame = 0;
    return setInterval(() => {
      const header = new RtpHeader({
        payloadType: 96,
        sequenceNumber: frame & 0xffff,
        timestamp: frame * 3000,
        ssrc: 4711,
        marker: true,
      });
      from.send(new RtpPacket(header, vp8Frame(frame % 30 === 0)).serialize(), to.port, to.ip);
      frame += 1;
    }, 33);
  }

  /** Video that comes; returns what ends it. */
  async function publish(node: TestNode): Promise<() => void> {
    const source = await socketOn();
    const pushed = await open(node, 'push', { address: { ip: '127.0.0.1', port: source.address().port }, tracks: [VIDEO] });
    const timer = sendVideo(source, pushed);
    await eventually('the push connected', () => node.sessions.get(pushed.session)?.state === 'connected');
    return () => {
      clearInterval(timer);
      source.close();
    };
  }

  test('pushed to one node comes out of another, which pulls it over a trunk, numbered without gaps', async () => {
    const network = newNetwork();
    const origin = await startTestNode({ name: 'node-1', network });
    const edge = await startTestNode({ name: 'node-2', network });
    const sink = await socketOn();
    const unplug = await publish(origin);
    const pulled = await open(edge, 'pull', { address: { ip: '127.0.0.1', port: sink.address().port } });
    await eventually('30 packets', () => sink.packets.length >= 30);
    const sequence = sink.packets.map(({ header }) => header.sequenceNumber);
    assert.deepEqual(
      sequence,
      sequence.map((_, index) => (sequence[0]! + index) & 0xffff),
    );
    assert.ok(
      sink.packets.every(
        ({ header }) => header.ssrc === pulled.tracks[0]!.ssrc && header.payloadType === pulled.tracks[0]!.payloadType,
      ),
    );
    const { streams } = await edge.relay.stats();
    assert.deepEqual(
      streams.map(({ stream, role, nodes }) => ({ stream, role, nodes })),
      [{ stream: 'live/native', role: 'edge', nodes: ['node-1'] }],
    );
    unplug();
    sink.close();
    await edge.close();
    await origin.close();
  });

  test('goes to another host than the caller only with a token that names it', async () => {
    const node = await startTestNode();
    const other = await socketOn('127.0.0.2');
    const unplug = await publish(node);
    const address = { ip: '127.0.0.2', port: other.address().port };
    const refused = await open(node, 'pull', { address }, 403);
    assert.match(JSON.stringify(refused), /127\.0\.0\.2 is not where this request comes from \(127\.0\.0\.1\).*rtpTo/);
    await open(node, 'pull', { address }, 403, { rtpTo: '127.0.0.3' });
    await open(node, 'push', { address, stream: 'live/other', tracks: [VIDEO] }, 403);
    assert.equal(other.packets.length, 0);
    await open(node, 'pull', { address }, 201, { rtpTo: '127.0.0.2' });
    await eventually('packets at the other host', () => other.packets.length >= 10);
    unplug();
    other.close();
    await node.close();
  });

  test('the stream stays for who joins while the last viewer leaves, and for nobody who is refused', async () => {
    const node = await startTestNode();
    const sink = await socketOn();
    const unplug = await publish(node);
    await open(node, 'pull', {}, 400);
    await open(node, 'pull', { srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: 'AAAA' } }, 400);
    assert.deepEqual(node.hub.served, []);
    const address = { ip: '127.0.0.1', port: sink.address().port };
    let last = await open(node, 'pull', { address });
    for (let i = 0; i < 30; i++) {
      const joining = open(node, 'pull', { address });
      await delay(i % 6);
      const left = await fetch(`${node.url}/rtp/sessions/${last.session}`, { method: 'DELETE' });
      assert.equal(left.status, 200);
      last = await joining;
    }
    assert.deepEqual(node.hub.served, [{ stream: 'live/native', viewers: 1 }]);
    await fetch(`${node.url}/rtp/sessions/${last.session}`, { method: 'DELETE' });
    assert.deepEqual(node.hub.served, []);
    unplug();
    sink.close();
    await node.close();
  });

  test('with SRTP keys gives the node’s own keys back', async () => {
    const node = await startTestNode();
    const srtp = { cryptoSuite: 'AEAD_AES_128_GCM', keyBase64: Buffer.alloc(28, 7).toString('base64') };
    const opened = await open(node, 'push', { tracks: [VIDEO], srtp });
    assert.equal(opened.srtp?.cryptoSuite, srtp.cryptoSuite);
    assert.equal(Buffer.from(opened.srtp.keyBase64, 'base64').length, 28);
    assert.notEqual(opened.srtp?.keyBase64, srtp.keyBase64);
    await node.close();
  });

  test('is for token holders only, and names what is wrong with a request', async () => {
    const node = await startTestNode();
    const anonymous = await fetch(`${node.url}/rtp/push`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ stream: 'live/native', tracks: [VIDEO] }),
    });
    assert.equal(anonymous.status, 401);
    const unknown = await open(node, 'push', { ...FROM, tracks: [{ ...VIDEO, mimeType: 'video/MPEG2' }] }, 400);
    assert.match(JSON.stringify(unknown), /tracks\.0: video\/MPEG2\/90000 is not relayed; use one of .*video\/VP8\/90000/);
    const short = await open(
      node,
      'push',
      { tracks: [VIDEO], srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: 'AAAA' } },
      400,
    );
    assert.match(JSON.stringify(short), /needs 44 bytes of key and salt, these are 3/);
    const anyone = await open(node, 'push', { tracks: [VIDEO] }, 400);
    assert.match(JSON.stringify(anyone), /address or srtp: one is needed/);
    const field = await open(node, 'push', { ...FROM, tracks: [] }, 400);
    assert.match(JSON.stringify(field), /tracks/);
    await node.close();
  });
});
