import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { eventually, startTestNode, type TestNode } from './node.fixture.ts';
import { newPlayer, newPublisher } from '@millrace/testkit/webrtc';

const SDP = { 'content-type': 'application/sdp' };

async function negotiate(node: TestNode, kind: 'whip' | 'whep', offer: string): Promise<string> {
  const response = await fetch(`${node.url}/${kind}/live/demo`, { method: 'POST', headers: SDP, body: offer });
  const body = await response.text();
  assert.equal(response.status, 201, body);
  return body;
}

const candidatesOf = (sdp: string): string[] =>
  [...sdp.matchAll(/^a=candidate:\S+ 1 udp \d+ (\S+) \d+ typ host/gm)].map(([, address]) => address!);
/** Only some of the candidates, as if the client could not use the others. */
const keepOnly = (sdp: string, address: string): string =>
  sdp
    .split('\r\n')
    .filter((line) => !line.startsWith('a=candidate:') || line.includes(` ${address} `))
    .join('\r\n');

describe('clients of either family', { timeout: 60_000 }, () => {
  for (const hosts of [['::1'], ['127.0.0.1', '::1']]) {
    for (const address of hosts)
      test(`publish and play over ${address} at a node that announces ${hosts.join(' and ')}`, async () => {
        const node = await startTestNode({ hosts });
        const publisher = await newPublisher({ addresses: [address] });
        const answer = await negotiate(node, 'whip', publisher.offer);
        assert.deepEqual(candidatesOf(answer), hosts);
        await publisher.accept(keepOnly(answer, address));
        await eventually('the publisher sends', () => publisher.sent.video > 10);
        const player = await newPlayer(undefined, { addresses: [address] });
        await player.accept(keepOnly(await negotiate(node, 'whep', player.offer), address));
        await eventually('10 frames', () => player.received.video >= 10);
        await player.close();
        await publisher.close();
        await node.close();
      });
  }

  test('a name is a candidate by its addresses, whichever family they have', async () => {
    const node = await startTestNode({ hosts: ['edge.example'], lookup: () => Promise.resolve(['::1', '127.0.0.1']) });
    const publisher = await newPublisher({ addresses: ['::1'] });
    const answer = await negotiate(node, 'whip', publisher.offer);
    assert.deepEqual(candidatesOf(answer), ['::1', '127.0.0.1']);
    await publisher.accept(keepOnly(answer, '::1'));
    await eventually('the publisher sends', () => publisher.sent.video > 10);
    await publisher.close();
    await node.close();
  });

  test('while the announced name does not resolve, sessions are refused with the reason', async () => {
    const node = await startTestNode({ hosts: ['edge.example'], lookup: () => Promise.reject(new Error('ENOTFOUND')) });
    const publisher = await newPublisher();
    const response = await fetch(`${node.url}/whip/live/demo`, { method: 'POST', headers: SDP, body: publisher.offer });
    assert.equal(response.status, 503);
    assert.match(
      ((await response.json()) as { detail: string }).detail,
      /edge\.example does not resolve .* announce an IP address/,
    );
    assert.equal(response.headers.get('retry-after'), '5');
    await publisher.close();
    await node.close();
  });
});

describe('plain RTP of either family', { timeout: 30_000 }, () => {
  const ask = async (
    node: TestNode,
    ip: string,
    url = node.url,
  ): Promise<{ status: number; body: { ip: string; port: number; session: string; detail?: string } }> => {
    const response = await fetch(`${url}/rtp/push`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${await node.token('push', 'live/*', { rtpTo: ip })}`,
      },
      body: JSON.stringify({
        stream: 'live/native',
        address: { ip, port: 5004 },
        tracks: [{ kind: 'video', mimeType: 'video/VP8', payloadType: 96, clockRate: 90000, ssrc: 4711 }],
      }),
    });
    return { status: response.status, body: (await response.json()) as never };
  };

  for (const hosts of [['::1'], ['127.0.0.1', '::1']])
    test(`a client on ::1 is told ::1 by a node that announces ${hosts.join(' and ')}, and is heard there`, async () => {
      const node = await startTestNode({ hosts });
      const { status, body } = await ask(node, '::1');
      assert.equal(status, 201, body.detail);
      assert.equal(body.ip, '::1');
      const socket = createSocket('udp6');
      socket.bind(5004, '::1');
      await once(socket, 'listening');
      const rtp = Buffer.alloc(100);
      rtp.writeUInt32BE(0x80600001, 0);
      rtp.writeUInt32BE(4711, 8);
      const timer = setInterval(() => socket.send(rtp, body.port, body.ip), 20);
      await eventually('the push is heard', async () => {
        const transport = node.hub.published[0]?.origin.transport;
        return ((await transport?.getStats())?.[0]?.bytesReceived ?? 0) > 0;
      });
      clearInterval(timer);
      socket.close();
      await node.close();
    });

  test('an IPv4 client that writes its address within an IPv6 one is told an IPv4 address', async () => {
    const node = await startTestNode({ hosts: ['127.0.0.1', '::1'] });
    const { status, body } = await ask(node, '::ffff:127.0.0.1');
    assert.deepEqual([status, body.ip], [201, '127.0.0.1']);
    await node.close();
  });

  test('an address of a family that the node does not have is refused with what it has', async () => {
    const node = await startTestNode({ hosts: ['127.0.0.1'] });
    const { status, body } = await ask(node, '2001:db8::9');
    assert.equal(status, 400);
    assert.match(body.detail!, /2001:db8::9 is IPv6, and this node has no IPv6 address \(it has 127\.0\.0\.1\)/);
    await node.close();
  });
});
