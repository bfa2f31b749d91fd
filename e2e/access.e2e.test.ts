import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import https from 'node:https';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  callers,
  consoleService,
  controlService,
  mediaNodeService,
  opsService,
  verdictOf,
  wireOperations,
  type Caller,
  type Operation,
  type Service,
  type Verdict,
} from '@millrace/api/operations';
import { offerText } from '@millrace/testkit/sdp';
import { newPlayer, newPublisher, type Publisher } from '@millrace/testkit/webrtc';
import { credentialsOf, podOf, STREAM, tokenKeyOf, type Credentials } from './src/servers/credentials.ts';
import { HttpContract, type CallOptions } from './src/servers/http-contract.ts';
import { APP_KEY, eventually, Servers, type RunningNode } from './src/servers/network.ts';
import { askStun, dialAgent, dialTrunk, sendFrames } from './src/servers/wire-attempts.ts';

const [APP = '', NAME = ''] = STREAM.split('/');
const TRACK = { kind: 'video', mimeType: 'video/VP8', payloadType: 96, clockRate: 90000, ssrc: 4711 };
const PATIENCE_MS = 700;

/** Every cell of the table in docs/security.md except those of the Kubernetes API, which access-kubernetes.e2e.test.ts tests. */
describe('who may call what', { timeout: 300_000 }, () => {
  let servers: Servers;
  let node: RunningNode;
  let publisher: Publisher;
  const credentials: Partial<Record<'push' | 'pull', Credentials>> = {};

  before(async () => {
    servers = await Servers.start();
    node = await servers.addNode('one', { roles: ['push', 'pull', 'relay'] });
    for (const act of ['push', 'pull'] as const) credentials[act] = await credentialsOf(servers, act);
    publisher = await newPublisher();
    const contract = new HttpContract(mediaNodeService, node.url);
    const token = credentials.push!.pushToken;
    const created = await contract.call('whip', { params: { app: APP, name: NAME }, body: publisher.offer, token });
    assert.equal(created.status, 201, created.text);
    await publisher.accept(created.text);
  });
  after(async () => {
    await publisher?.close();
    await servers?.stop();
  });

  /** Parameters and body of a valid request, which needs no secret knowledge. */
  function requestOf(operation: Operation, session: string): CallOptions {
    const { id, path } = operation;
    const address = { ip: '127.0.0.1', port: 5004 };
    const bodies: Record<string, unknown> = {
      push: { stream: STREAM },
      pull: { stream: STREAM },
      'console-place': { stream: STREAM },
      'signaling-push': { stream: STREAM },
      'signaling-pull': { stream: STREAM },
      'signaling-answer': { session: 'one~x' },
      'signaling-stop': { session: 'one~x' },
      'signaling-delete': { session: 'one~x' },
      whip: offerText('obs-whip'),
      whep: offerText('chromium-whep'),
      'prefer-layers': { spatialLayer: 0 },
      'short-push': { stream: STREAM, sdp: offerText('obs-whip') },
      'short-pull': { stream: STREAM },
      'short-answer': { session, sdp: 'v=0' },
      'short-stop': { session },
      'short-delete': { session },
      'rtp-push': { stream: STREAM, address, tracks: [TRACK] },
      'rtp-pull': { stream: STREAM, address },
      'whip-patch': 'a=ice-ufrag:Qh2p',
      'whep-patch': 'a=ice-ufrag:Qh2p',
    };
    const params: Record<string, string> = path.includes('{id}') ? { id: session } : { app: APP, name: NAME, kind: 'pull' };
    const type = id.endsWith('-patch') ? { type: 'application/trickle-ice-sdpfrag' } : {};
    return { params, ...(id in bodies ? { body: bodies[id] } : {}), ...type };
  }

  /** A session of the kind that the operation is about. */
  async function openSession(contract: HttpContract, id: string): Promise<string> {
    const name = randomBytes(6).toString('hex');
    const { pullToken, pushToken } = credentials.pull!;
    if (id.startsWith('rtp')) {
      const body = { stream: STREAM, address: { ip: '127.0.0.1', port: 5006 } };
      return (await contract.call('rtp-pull', { body, token: pullToken })).json<{ session: string }>().session;
    }
    if (id.startsWith('whip')) {
      const control = new HttpContract(controlService, servers.control.url);
      const placed = await control.call('push', { token: APP_KEY, body: { stream: `live/${name}` } });
      const { token } = placed.json<{ token: string }>();
      const created = await contract.call('whip', { params: { app: 'live', name }, body: offerText('obs-whip'), token });
      return created.headers.get('location')!.split('/').at(-1)!;
    }
    assert.ok(pushToken);
    return (await contract.call('short-pull', { body: { stream: STREAM }, token: pullToken })).json<{ session: string }>()
      .session;
  }

  /** What a status code says about the caller's rights. */
  function verdictOfStatus(operation: Operation, status: number): Verdict {
    const refusals = operation.access === 'session' ? [401, 403, 404] : [401, 403];
    return refusals.includes(status) ? status : 'yes';
  }

  const listeners: [Service, () => string][] = [
    [controlService, () => servers.control.url],
    [mediaNodeService, () => node.url],
    [consoleService, () => servers.console.url],
    [{ ...opsService, title: `${opsService.title} (control)` }, () => servers.control.opsUrl],
    [{ ...opsService, title: `${opsService.title} (operator)` }, () => servers.operator.opsUrl],
    [{ ...opsService, title: `${opsService.title} (media node)` }, () => node.opsUrl],
  ];
  for (const [service, url] of listeners) {
    describe(service.title, () => {
      for (const operation of service.operations) {
        test(`${operation.method} ${operation.path}`, async () => {
          const contract = new HttpContract(service, url());
          const act = /pull|whep/.test(operation.id) ? 'pull' : 'push';
          const found: Partial<Record<Caller, Verdict>> = {};
          for (const caller of callers) {
            const knowsSession = operation.access === 'session' && caller === 'session';
            const session = knowsSession ? await openSession(contract, operation.id) : randomBytes(16).toString('base64url');
            const token = credentials[act]![caller];
            const { status } = await contract.call(operation.id, { ...requestOf(operation, session), token });
            found[caller] = verdictOfStatus(operation, status);
          }
          assert.deepEqual(found, row(operation));
        });
      }
    });
  }

  const row = ({ access }: Pick<Operation, 'access'>): Record<string, Verdict> =>
    Object.fromEntries(callers.map((caller) => [caller, verdictOf(access, caller)]));
  const wire = (id: string): Pick<Operation, 'access'> => wireOperations.find((each) => each.id === id)!;

  describe('beside HTTP', () => {
    test('the agents’ channel', async () => {
      const identity = (await podOf(servers, 'cell-node')).identity();
      const found: Record<string, Verdict> = {};
      for (const caller of callers)
        found[caller] = await dialAgent(servers.control.agentUrl, credentials.push![caller], identity);
      assert.deepEqual(found, row(wire('agent')));
    });

    test('the trunk handshake', async () => {
      const peer = { node: node.name, host: '127.0.0.1', port: node.node.endpoints.trunkPort };
      const found: Record<string, Verdict> = {};
      await Promise.all(
        callers.map(async (caller) => {
          found[caller] = await dialTrunk(peer, { secret: credentials.push![caller] ?? caller, patienceMs: 2 * PATIENCE_MS });
        }),
      );
      assert.deepEqual(sorted(found), sorted(row(wire('trunk'))));
      const certifiedBy = await tokenKeyOf(servers);
      const both = await dialTrunk(peer, { secret: servers.trunkKey, certifiedBy, patienceMs: 5000 });
      assert.equal(both, 'yes', "the mesh's key and a certificate");
    });

    test('WebRTC: checks and media', async () => {
      const contract = new HttpContract(mediaNodeService, node.url);
      const player = await newPlayer();
      const params = { app: APP, name: NAME };
      const answer = await contract.call('whep', { params, body: player.offer, token: credentials.pull!.pullToken });
      const line = (name: string): string => new RegExp(`^a=${name}:(\\S+)`, 'm').exec(answer.text)![1]!;
      const [port = 0] = node.node.endpoints.mediaPorts;
      const found: Record<string, Verdict> = {};
      await Promise.all(
        callers.map(async (caller) => {
          const known = { usernameFragment: line('ice-ufrag'), password: line('ice-pwd') };
          const guessed = { usernameFragment: randomBytes(8).toString('hex'), password: credentials.pull![caller] ?? caller };
          found[caller] = await askStun(port, caller === 'session' ? known : guessed, PATIENCE_MS);
        }),
      );
      await player.close();
      assert.deepEqual(sorted(found), sorted(row(wire('webrtc'))));
    });

    test('plain RTP', async () => {
      const contract = new HttpContract(mediaNodeService, node.url);
      const control = new HttpContract(controlService, servers.control.url);
      const [source, sink] = await Promise.all([socket(), socket()]);
      let heard = 0;
      sink.on('message', (packet) => (heard += packet[1]! >= 192 && packet[1]! <= 223 ? 0 : 1));
      const stream = 'live/plain';
      const tokenFor = async (act: string): Promise<string> =>
        (await control.call(act, { token: APP_KEY, body: { stream } })).json<{ token: string }>().token;
      const at = (from: Socket) => ({ ip: '127.0.0.1', port: from.address().port });
      const push = { stream, address: at(source), tracks: [TRACK] };
      const pushed = await contract.call('rtp-push', { token: await tokenFor('push'), body: push });
      const target = pushed.json<{ ip: string; port: number }>();
      const pull = { token: await tokenFor('pull'), body: { stream, address: at(sink) } };
      await eventually('the stream can be pulled', async () =>
        (await contract.call('rtp-pull', pull)).status === 201 ? true : undefined,
      );
      const found: Record<string, Verdict> = {};
      let sequence = 0;
      for (const caller of [...callers.filter((each) => each !== 'session'), 'session'] as const) {
        const before = heard;
        const from = caller === 'session' ? source : await socket();
        sendFrames(from, target, TRACK.ssrc, (sequence += 10));
        await delay(caller === 'session' ? 1500 : 200);
        found[caller] = heard > before ? 'yes' : 'silence';
        if (from !== source) from.close();
      }
      source.close();
      sink.close();
      assert.deepEqual(sorted(found), sorted(row(wire('plain-rtp'))));
    });

    test('the standalone API is open to administrators alone', async () => {
      const { url, ca } = servers.network.api;
      const found: Record<string, Verdict> = {};
      for (const caller of callers)
        found[caller] = await statusOf(`${url}/apis/millrace.dev/v1alpha1/medianodes`, ca, credentials.push![caller]);
      const isAccount = (caller: Caller): boolean => caller === 'operator' || caller === 'control';
      assert.deepEqual(found, Object.fromEntries(callers.map((caller) => [caller, isAccount(caller) ? 403 : 401])));
    });

    test('metrics from outside of the private networks', async () => {
      const elsewhere = await servers.addNode('closed', { roles: ['relay'] }, { MILLRACE_METRICS_FROM: '192.0.2.0/24' });
      const contract = new HttpContract(opsService, elsewhere.opsUrl);
      const found: Record<string, Verdict> = {};
      for (const caller of callers) {
        const { status } = await contract.call('metrics', { token: credentials.push![caller] });
        found[caller] = status === 200 ? 'yes' : status;
      }
      assert.deepEqual(found, row(wire('metrics-elsewhere')));
      assert.equal((await contract.call('ready')).status, 200, 'the kubelet asks from anywhere');
    });
  });
});

function statusOf(url: string, ca: string, token: string | undefined): Promise<number> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return new Promise((resolve, reject) => {
    const request = https.get(url, { ca, headers, agent: false }, (response) => {
      resolve(response.statusCode!);
      response.destroy();
    });
    request.on('error', reject);
  });
}

async function socket(): Promise<Socket> {
  const made = createSocket('udp4').bind(0, '127.0.0.1');
  await once(made, 'listening');
  return made;
}

function sorted(cells: Record<string, Verdict>): Record<string, Verdict> {
  return Object.fromEntries(Object.entries(cells).sort(([a], [b]) => (a < b ? -1 : 1)));
}
