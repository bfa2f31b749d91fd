import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { AGENT_PATH, AGENT_SUBPROTOCOL, AGENT_TOKEN_AUDIENCE } from '@millrace/api';
import { ControlNetwork, NAMESPACE } from './control-network.ts';

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
/** A token as a kubelet's, but for its signature. */
const forged = (uid: string): string =>
  `${part({ alg: 'RS256' })}.${part({
    aud: [AGENT_TOKEN_AUDIENCE],
    exp: Math.floor(Date.now() / 1000) + 3600,
    'kubernetes.io': { namespace: NAMESPACE, pod: { name: 'stranger', uid } },
  })}.${'s'.repeat(300)}`;

interface Dial {
  socket: Socket;
  text: string;
  closed: boolean;
}

/** A client that never closes its side of the connection. */
function dial(url: string, token: string, headers = ''): Dial {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname.replace(/[[\]]/g, ''), port: Number(port), allowHalfOpen: true });
  const dialled: Dial = { socket, text: '', closed: false };
  socket.on('data', (data) => (dialled.text += String(data)));
  socket.on('error', () => undefined);
  socket.on('close', () => (dialled.closed = true));
  socket.write(
    `GET ${AGENT_PATH} HTTP/1.1\r\nHost: control\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ${AGENT_SUBPROTOCOL}\r\nAuthorization: Bearer ${token}\r\n${headers}\r\n`,
  );
  return dialled;
}

describe('strangers that dial control as agents', () => {
  test('are refused, let go, and keep no agent out, however many hold their connections open', async (t) => {
    const network = await ControlNetwork.start();
    t.after(() => network.stop());
    const control = await network.control();
    const node = await network.node('resident');
    await node.connect([control.agentUrl]);
    const strangers = Array.from({ length: 400 }, (_, n) =>
      dial(control.agentUrl, n % 2 === 0 ? forged(`uid-${n}`) : `junk-token-${n}.of.nobody`),
    );
    t.after(() => strangers.forEach(({ socket }) => socket.destroy()));

    await delay(100);
    const late = await network.node('latecomer');
    const started = performance.now();
    const channel = await late.connect([control.agentUrl]);
    assert.equal(channel.snapshot?.self.node, 'latecomer');
    assert.ok(performance.now() - started < 8000);

    for (let tries = 0; tries < 100 && strangers.some(({ text }) => text === ''); tries++) await delay(100);
    const statuses = new Set(strangers.map(({ text }) => text.slice(9, 12)));
    assert.deepEqual(
      [...statuses].filter((status) => !['401', '503'].includes(status)),
      [],
    );
    for (let tries = 0; tries < 50 && strangers.some(({ socket }) => !socket.readableEnded); tries++) await delay(100);
    // Control has closed its side of each, and writing to one that it let go is an error.
    assert.ok(strangers.every(({ socket }) => socket.readableEnded || socket.destroyed));
    for (const { socket } of strangers) socket.write('x');
    for (let tries = 0; tries < 50 && strangers.some(({ closed }) => !closed); tries++) {
      await delay(100);
      for (const { socket, closed } of strangers) if (!closed) socket.write('x');
    }
    assert.equal(strangers.filter(({ closed }) => !closed).length, 0, 'connections that control still holds');
  });

  test('behind a proxy that control trusts are each limited by their own address', async (t) => {
    const network = await ControlNetwork.start();
    t.after(() => network.stop());
    const control = await network.control({ trustedProxies: ['127.0.0.0/8', '::1'] });
    const statusFor = async (client: string): Promise<string> => {
      const { socket } = dial(control.agentUrl, 'junk', `X-Forwarded-For: ${client}\r\n`);
      const [data] = (await once(socket, 'data')) as [Buffer];
      socket.destroy();
      return data.toString().slice(9, 12);
    };
    const statuses = new Set<string>();
    for (let batch = 0; batch < 100 && !statuses.has('429'); batch++)
      for (const status of await Promise.all(Array.from({ length: 100 }, () => statusFor('203.0.113.1')))) statuses.add(status);
    assert.deepEqual([...statuses].sort(), ['401', '429']);
    assert.equal(await statusFor('203.0.113.2'), '401');
  });
});
