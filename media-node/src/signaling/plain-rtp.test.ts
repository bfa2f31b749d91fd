import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { RtpHeader, RtpPacket } from 'werift';
import { eventually, newNetwork, startTestNode, type TestNode } from './node.fixture.ts';
import { vp8Frame } from './werift.fixture.ts';

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
  async function open(node: TestNode, act: 'push' | 'pull', body: object, expected = 201): Promise<Opened> {
    const token = await node.token(act, 'live/*');
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

  test('pushed to one node comes out of another, which pulls it over a trunk, numbered without gaps', async () => {
    const network = newNetwork();
    const origin = await startTestNode({ name: 'node-1', network });
    const edge = await startTestNode({ name: 'node-2', network });
    const [source, sink] = await Promise.all([socketOn(), socketOn()]);
    const pushed = await open(origin, 'push', { address: { ip: '127.0.0.1', port: source.address().port }, tracks: [VIDEO] });
    const timer = sendVideo(source, pushed);
    await eventually('the push connected', () => origin.sessions.get(pushed.session)?.state === 'connected');
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
    clearInterval(timer);
    source.close();
    sink.close();
    await edge.close();
    await origin.close();
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
