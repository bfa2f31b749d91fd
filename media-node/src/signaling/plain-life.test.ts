import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { receiverReport } from '@millrace/testkit/media';
import { RtpPacket, SrtpSession } from 'werift';
import { eventually, startTestNode, type TestNode } from './node.fixture.ts';

const VIDEO = { kind: 'video', mimeType: 'video/VP8', payloadType: 96, clockRate: 90_000, ssrc: 4711 };
const LIFE = { firstSignMs: 1000, quietMs: 2500 };
/** Longer than `firstSignMs`, so that the reason tells which of the two has ended a session. */
const CONNECT_MS = 2000;
const KEY = Buffer.alloc(30, 7);
const SRTP = { cryptoSuite: 'AES_CM_128_HMAC_SHA1_80', keyBase64: KEY.toString('base64') };

interface Answer {
  status: number;
  body: {
    session: string;
    ip: string;
    port: number;
    detail?: string;
    srtp?: { keyBase64: string };
    tracks?: { ssrc?: number }[];
  };
}

describe('a plain RTP session proves that it lives', { timeout: 90_000 }, () => {
  let node: TestNode;
  let publisher: Socket & { received: number };
  const sockets: Socket[] = [];
  let sending: NodeJS.Timeout | undefined;

  before(async () => {
    node = await startTestNode({
      lifeLimits: LIFE,
      connectMs: CONNECT_MS,
      plainSessionsPerAddress: 6,
      sessionsPerSecond: 10_000,
    });
    publisher = await socketOn();
    const pushed = await post('push', { address: here(publisher), tracks: [VIDEO] });
    assert.equal(pushed.status, 201);
    sending = setInterval(() => publisher.send(rtp(), pushed.body.port, '127.0.0.1'), 100);
    await eventually('the push connected', () => node.sessions.get(pushed.body.session)?.state === 'connected');
  });
  after(async () => {
    clearInterval(sending);
    for (const socket of sockets) socket.close();
    await node.close();
  });

  async function socketOn(address = '127.0.0.1'): Promise<Socket & { received: number }> {
    const socket = Object.assign(createSocket('udp4'), { received: 0 });
    socket.on('message', () => (socket.received += 1));
    socket.bind(0, address);
    await once(socket, 'listening');
    sockets.push(socket);
    return socket;
  }

  const here = (socket: Socket) => ({ ip: socket.address().address, port: socket.address().port });

  async function post(act: 'push' | 'pull', body: object, claims: Parameters<TestNode['token']>[2] = {}): Promise<Answer> {
    const response = await fetch(`${node.url}/rtp/${act}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await node.token(act, 'live/*', claims)}` },
      body: JSON.stringify({ stream: 'live/native', ...body }),
    });
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  }

  async function open(
    act: 'push' | 'pull',
    body: object,
    claims: Parameters<TestNode['token']>[2] = {},
  ): Promise<Answer['body']> {
    const answer = await post(act, body, claims);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body;
  }

  const end = (session: string): Promise<Response> => fetch(`${node.url}/rtp/sessions/${session}`, { method: 'DELETE' });

  /** As the client learns it. */
  async function reasonOf(session: string): Promise<string | undefined> {
    const response = await fetch(`${node.url}/rtp/sessions/${session}`);
    return response.status === 404 ? ((await response.json()) as { detail: string }).detail : undefined;
  }

  let sequence = 0;
  function rtp(ssrc = 4711): Buffer {
    const packet = Buffer.alloc(40);
    packet[0] = 0x80;
    packet[1] = 96;
    packet.writeUInt16BE(++sequence & 0xffff, 2);
    packet.writeUInt32BE(sequence * 3000, 4);
    packet.writeUInt32BE(ssrc, 8);
    return packet;
  }

  /** An SRTP packet under the client's key (RFC 3711). */
  function srtp(packet: Buffer): Buffer {
    const keys = {
      localMasterKey: KEY.subarray(0, 16),
      localMasterSalt: KEY.subarray(16),
      remoteMasterKey: KEY.subarray(0, 16),
      remoteMasterSalt: KEY.subarray(16),
    };
    const session = new SrtpSession({ keys, profile: 1 });
    const { header, payload } = RtpPacket.deSerialize(packet);
    return session.encrypt(payload, header);
  }

  test('a viewer that sends nothing ends, told why', async () => {
    const viewer = await socketOn();
    const { session } = await open('pull', { address: here(viewer) });
    assert.equal(node.sessions.get(session)?.state, 'pending');
    const reason = await eventually('the end', () => reasonOf(session));
    assert.match(reason, /it has ended: the viewer sent no RTCP, nor any other packet, after it opened the session/);
  });

  test('a viewer stays while it reports, and ends when it stops', async () => {
    const viewer = await socketOn();
    const { session, port, tracks } = await open('pull', { address: here(viewer) });
    const reports = setInterval(() => viewer.send(receiverReport(tracks![0]!.ssrc!), port, '127.0.0.1'), 500);
    await eventually('connected', () => node.sessions.get(session)?.state === 'connected');
    await delay(LIFE.firstSignMs + LIFE.quietMs + 500);
    assert.equal(node.sessions.get(session)?.state, 'connected');
    clearInterval(reports);
    const reason = await eventually('the end', () => reasonOf(session));
    assert.match(reason, /it has ended: the viewer sends no RTCP, nor any other packet, any more/);
  });

  test('SRTP without an address, from an address that is neither the caller’s nor in its token, ends the session', async () => {
    const stranger = await socketOn('127.0.0.3');
    const packet = srtp(rtp(99));
    for (const [act, more] of [
      ['pull', {}],
      ['push', { stream: 'live/other', tracks: [{ ...VIDEO, ssrc: 99 }] }],
    ] as const) {
      const { session, port } = await open(act, { ...more, srtp: SRTP });
      stranger.send(packet, port, '127.0.0.1');
      const reason = await eventually(`the end of the ${act}`, () => reasonOf(session));
      assert.match(reason, /packets came from an address that is neither the caller’s nor the "rtpTo" of its token/);
    }
    const { session, port } = await open('pull', { srtp: SRTP }, { rtpTo: '127.0.0.3' });
    stranger.received = 0;
    stranger.send(packet, port, '127.0.0.1');
    await eventually('connected', () => node.sessions.get(session)?.state === 'connected');
    const own = await socketOn();
    const mine = await open('pull', { srtp: SRTP });
    own.send(packet, mine.port, '127.0.0.1');
    await eventually('connected', () => node.sessions.get(mine.session)?.state === 'connected');
    for (const id of [session, mine.session]) await end(id);
  });

  test('a push that never sends frees its name, whatever it opened', async () => {
    const silent = await socketOn();
    for (const [index, body] of [{ address: here(silent) }, { address: here(silent), srtp: SRTP }, { srtp: SRTP }].entries()) {
      const stream = `live/silent-${index}`;
      const { session } = await open('push', { ...body, stream, tracks: [VIDEO] });
      assert.match(await eventually('the end', () => reasonOf(session)), /the client never sent anything/);
      const next = await open('push', { ...body, stream, tracks: [VIDEO] });
      await end(next.session);
    }
  });

  test('one address holds a bounded number, told which', async () => {
    const viewer = await socketOn();
    const sessions: string[] = [];
    // One is the publisher's.
    while (sessions.length < 5) sessions.push((await open('pull', { address: here(viewer) })).session);
    const { status, body } = await post('pull', { address: here(viewer) });
    assert.equal(status, 429);
    assert.match(body.detail!, /plain RTP: your address has 6 sessions here, at most 6 are allowed/);
    await end(sessions.pop()!);
    sessions.push((await open('pull', { address: here(viewer) })).session);
    for (const session of sessions) await end(session);
  });
});
