import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { AGENT_PROTOCOL, AgentClose } from '@millrace/api';
import { createLogger } from '@millrace/service';
import { WebSocketServer } from 'ws';
import type { MediaNode } from '@millrace/media-node';
import type { Control } from '@millrace/control';
import { APP_KEY, eventually, ControlNetwork } from './control-network.ts';
import { startRealNode } from './real-node.ts';

const OFFER = readFileSync(new URL('../../testkit/src/sdp/offers/obs-whip.sdp', import.meta.url), 'utf8').replaceAll(
  '\n',
  '\r\n',
);

describe('contention for a name or for capacity', { timeout: 120_000 }, () => {
  let network: ControlNetwork;
  let control: Control;
  let nodes: MediaNode[];

  before(async () => {
    network = await ControlNetwork.start();
    control = await network.control();
    await network.mesh('mesh');
    await network.route('open', { streams: ['*/*'], access: { publish: 'Public', play: 'Public' } });
    await network.route('taken', {
      streams: ['taken/*'],
      priority: 5,
      origin: { onDuplicate: 'Takeover' },
    });
    const room = { capacity: { sessions: 2, egressMbps: 1000 } };
    const settings = { MILLRACE_CAPACITY_SESSIONS: '2' };
    const started = [1, 2].map((n) => startRealNode(network, control, `node-${n}`, room, { settings }));
    nodes = (await Promise.all(started)).map(({ node }) => node);
    await eventually(() => nodes.every((node) => node.readiness().ok), 'both nodes are ready');
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.close()));
    await network.stop();
  });

  const url = (node: number): string => nodes[node]!.endpoints.signalingUrl;
  const push = (base: string, stream: string, token?: string): Promise<Response> =>
    fetch(`${base}/whip/${stream}`, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
      body: OFFER,
      redirect: 'manual',
    });
  const end = async (response: Response): Promise<void> => {
    await response.text();
    assert.equal((await fetch(new URL(response.headers.get('location')!, response.url), { method: 'DELETE' })).status, 200);
  };
  const tokenFor = async (stream: string): Promise<string> => {
    const response = await fetch(`${control.url}/v1/push`, {
      method: 'POST',
      headers: { authorization: `Bearer ${APP_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ stream }),
    });
    assert.equal(response.status, 200, await response.clone().text());
    return ((await response.json()) as { token: string }).token;
  };

  test('a second publisher of a name is refused with 409, which says since when the name is taken, on the same node and on another', async () => {
    const first = await push(url(0), 'live/one');
    assert.equal(first.status, 201, await first.clone().text());
    for (const node of [0, 1]) {
      const second = await push(url(node), 'live/one');
      assert.equal(second.status, 409);
      assert.equal(second.headers.get('retry-after'), '10');
      assert.match(await second.text(), /live\/one has had a publisher in north since 20.*onDuplicate: Takeover/);
    }
    await end(first);
    const next = await push(url(1), 'live/one');
    assert.equal(next.status, 201, 'the name is free again');
    await end(next);
  });

  test('of a silent publisher the 409 says since when it is silent and when the name becomes free, and then it is free', async (t) => {
    const token = await tokenFor('silent/one');
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    t.after(() => socket.close());
    const opened = await fetch(`${url(0)}/rtp/push`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        stream: 'silent/one',
        address: { ip: '127.0.0.1', port: socket.address().port },
        tracks: [{ kind: 'audio', mimeType: 'audio/opus', payloadType: 111, clockRate: 48_000, channels: 2, ssrc: 7 }],
      }),
    });
    assert.equal(opened.status, 201, await opened.clone().text());
    const { port } = (await opened.json()) as { port: number };
    for (let sequence = 0; sequence < 3; sequence++)
      socket.send(Buffer.from([0x80, 111, 0, sequence, 0, 0, 0, sequence, 0, 0, 0, 7, 1, 2, 3]), port, '127.0.0.1');
    let taken = await push(url(1), 'silent/one', token);
    let text = await taken.text();
    await eventually(
      async () => {
        taken = await push(url(1), 'silent/one', token);
        text = await taken.text();
        return /silent for \d+ s, and the name is free in \d+ s/.test(text);
      },
      `the silence is reported: ${text}`,
      15_000,
    );
    assert.equal(taken.status, 409);
    const waitS = Number(taken.headers.get('retry-after'));
    assert.ok(waitS >= 1 && waitS <= 8, `${waitS} s`);
    await new Promise((resolve) => setTimeout(resolve, (waitS + 2) * 1000));
    const next = await push(url(1), 'silent/one', token);
    assert.equal(next.status, 201, await next.clone().text());
    await end(next);
  });

  test('where the StreamRoute says Takeover the second one gets the name, and the first one’s session ends', async () => {
    const token = await tokenFor('taken/one');
    const first = await push(url(0), 'taken/one', token);
    assert.equal(first.status, 201, await first.clone().text());
    const session = new URL(first.headers.get('location')!, first.url).href;
    const events = await fetch(`${session}/events`);
    const second = await push(url(1), 'taken/one', token);
    assert.equal(second.status, 201, await second.clone().text());
    assert.match(await events.text(), /event: ended/);
    assert.equal((await fetch(session)).status, 404);
    assert.equal((await fetch(session, { method: 'DELETE' })).status, 200, 'it is gone, which the client requests');
    await end(second);
  });

  test('a full node redirects clients to one with room, which accepts them; when all are full it says when to retry', async () => {
    const held = [await push(url(0), 'full/a'), await push(url(0), 'full/b')];
    for (const response of held) assert.equal(response.status, 201, await response.clone().text());
    const token = await tokenFor('full/c');
    const redirect = await push(url(0), 'full/c', token);
    assert.equal(redirect.status, 307, await redirect.clone().text());
    const location = new URL(redirect.headers.get('location')!);
    assert.equal(location.origin, url(1));
    assert.equal(location.searchParams.get('access_token'), token, 'clients drop the header at another origin');
    const followed = await fetch(location, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: OFFER });
    assert.equal(followed.status, 201);
    const last = await push(url(1), 'full/d');
    assert.equal(last.status, 201);
    // Control learns of it with the next report.
    let none: Response | undefined;
    await eventually(async () => {
      none = await push(url(0), 'full/e');
      await none.clone().text();
      return none.status === 503;
    }, 'no node has room');
    assert.equal(none!.headers.get('retry-after'), '5');
    assert.match(await none!.text(), /this node is full, and no other node takes the request; try again later/);
    let placed: Response | undefined;
    await eventually(async () => {
      placed = await fetch(`${control.url}/v1/push`, {
        method: 'POST',
        headers: { authorization: `Bearer ${APP_KEY}`, 'content-type': 'application/json' },
        body: JSON.stringify({ stream: 'full/f' }),
      });
      return placed.status === 503;
    }, 'control places nobody');
    assert.ok(placed!.headers.get('retry-after'));
    assert.match(await placed!.text(), /SessionsFull/);
    for (const response of held) await end(response);
    for (const response of [followed, last]) await end(response);
  });

  test('an unknown stream is 404 with a remedy', async () => {
    const response = await fetch(`${url(0)}/whep/no/body`, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp' },
      body: OFFER.replaceAll('a=sendonly', 'a=recvonly'),
    });
    assert.equal(response.status, 404);
    assert.match(await response.text(), /nobody publishes no\/body now; check the name, or try again/);
  });
});

test('a node whose protocol control does not support logs the remedy and retries slowly', { timeout: 60_000 }, async (t) => {
  const network = await ControlNetwork.start();
  t.after(() => network.stop());
  // A later version of control, which refuses as the real one refuses an older node.
  const later = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(later, 'listening');
  t.after(() => void later.close());
  const dials: number[] = [];
  later.on('connection', (socket) =>
    socket.once('message', (data: Buffer) => {
      dials.push(performance.now());
      const { protocol } = JSON.parse(data.toString()) as { protocol: number };
      socket.close(AgentClose.protocolUnsupported, `protocol ${protocol} is not spoken here, 7 is: update the older side`);
    }),
  );
  const lines: string[] = [];
  const logger = createLogger({ service: 'node', level: 'info' }, { write: (line) => void lines.push(line) });
  const node = await network.node('older');
  const channel = node.channel([`ws://127.0.0.1:${(later.address() as AddressInfo).port}/v1/agent`], { logger, random: () => 0 });
  await channel.start();
  await eventually(() => lines.length > 0, 'it says why');
  const said = JSON.parse(lines[0]!) as { level: string; reason: string; code: number };
  assert.deepEqual([said.level, said.code], ['error', AgentClose.protocolUnsupported]);
  assert.match(said.reason, new RegExp(`protocol ${AGENT_PROTOCOL} is not spoken here, 7 is: update the older side`));
  await new Promise((resolve) => setTimeout(resolve, 3000));
  assert.equal(dials.length, 1, 'no retry within seconds');
  await eventually(() => dials.length === 2, 'but again');
  assert.ok(dials[1]! - dials[0]! > 7000);
});
