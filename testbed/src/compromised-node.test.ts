import assert from 'node:assert/strict';
import { createPrivateKey, type JsonWebKey } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { after, before, describe, test } from 'node:test';
import {
  AGENT_SUBPROTOCOL,
  AgentClose,
  mediaNodes,
  signGrant,
  type ControlMessage,
  type NodeMessage,
  type Publication,
} from '@millrace/api';
import { secrets } from '@millrace/kube';
import type { Control } from '@millrace/control';
import { generateKeyPair, exportJWK } from 'jose';
import { WebSocket } from 'ws';
import { APP_KEY, ControlNetwork, eventually, NAMESPACE, type TestNode } from './control-network.ts';

/** A node's own credentials in other hands: it says what it likes over a real connection. */
class Impostor {
  readonly heard: ControlMessage[] = [];
  readonly #socket: WebSocket;
  readonly #node: TestNode;

  constructor(socket: WebSocket, node: TestNode) {
    this.#socket = socket;
    this.#node = node;
    socket.on('message', (data: Buffer) => this.heard.push(JSON.parse(data.toString()) as ControlMessage));
  }

  static async dial(control: Control, node: TestNode): Promise<Impostor> {
    const authorization = `Bearer ${(await readFile(node.tokenFile, 'utf8')).trim()}`;
    const socket = new WebSocket(control.agentUrl, AGENT_SUBPROTOCOL, { headers: { authorization } });
    await once(socket, 'open');
    return new Impostor(socket, node);
  }

  /** The answer to a dial that is refused. */
  static async refusal(control: Control, node: TestNode): Promise<string> {
    const authorization = `Bearer ${(await readFile(node.tokenFile, 'utf8')).trim()}`;
    const socket = new WebSocket(control.agentUrl, AGENT_SUBPROTOCOL, { headers: { authorization } });
    socket.on('error', () => undefined);
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
    const text = await response.setEncoding('utf8').toArray();
    return ` ${response.statusCode} ${text.join('')}`;
  }

  async closed(): Promise<number> {
    const [code] = (await once(this.#socket, 'close')) as [number];
    return code;
  }

  say(message: NodeMessage): void {
    this.#socket.send(JSON.stringify(message));
  }

  hello(publications: Publication[] = [], change: object = {}): void {
    const hello = { type: 'hello' as const, protocol: 1, bootId: 'b', bootedAt: 1, publications, subscriptions: [] };
    this.say({ ...hello, ...this.#node.identity(), ...change });
  }

  async answer<T extends ControlMessage['type']>(type: T): Promise<Extract<ControlMessage, { type: T }>> {
    const found = (): ControlMessage | undefined => this.heard.find((message) => message.type === type);
    await eventually(() => found() !== undefined, `a message ${type}`);
    return found() as Extract<ControlMessage, { type: T }>;
  }

  close(): void {
    this.#socket.close();
  }
}

describe('A compromised node', () => {
  let network: ControlNetwork;
  let control: Control;

  before(async () => {
    network = await ControlNetwork.start();
    control = await network.control();
  });
  after(() => network.stop());

  const originOf = async (stream: string): Promise<{ node: string; epoch: number } | undefined> => {
    const headers = { authorization: `Bearer ${APP_KEY}` };
    const answer = await fetch(`${control.url}/v1/streams/${stream}`, { headers });
    if (answer.status === 404) return undefined;
    const { origin, epoch } = (await answer.json()) as { origin: { node: string }; epoch: number };
    return { node: origin.node, epoch };
  };

  test('cannot announce a name that it was not given, neither a free one nor one of another node', async () => {
    const [good, bad] = [await network.node('good-1'), await network.node('bad-1')];
    const channel = await good.connect([control.agentUrl]);
    const { epoch } = await network.publish(channel, { stream: 'live/victim', session: 's', tracks: [] });
    const kicks: unknown[] = [];
    channel.on('kick', (kick) => kicks.push(kick));
    // Its own grant, for another stream and epoch.
    const own = await Impostor.dial(control, bad);
    own.hello();
    await own.answer('snapshot');
    own.say({ type: 'publish', id: 1, stream: 'live/own', session: 'x', token: await network.pushToken('live/own'), tracks: [] });
    const published = await own.answer('published');
    assert.ok(published.ok);
    own.close();

    const { grant } = published;
    const impostor = await Impostor.dial(control, bad);
    impostor.hello([
      { stream: 'live/own', epoch: published.epoch, session: 'x', tracks: [], grant },
      { stream: 'live/victim', epoch: epoch + 1, session: 'x', tracks: [], grant },
      { stream: 'live/free', epoch: 2 ** 48 - 1, session: 'x', tracks: [], grant },
      { stream: 'live/later', epoch: published.epoch + 1, session: 'x', tracks: [], grant: 'a.b.c' },
    ]);
    await eventually(() => impostor.heard.filter(({ type }) => type === 'kick').length === 3, 'what it may not have is refused');
    assert.deepEqual(await originOf('live/own'), { node: 'bad-1', epoch: published.epoch });
    assert.deepEqual(await originOf('live/victim'), { node: 'good-1', epoch });
    for (const stream of ['live/free', 'live/later']) assert.equal(await originOf(stream), undefined);
    assert.deepEqual(kicks, []);
    impostor.close();
  });

  test('cannot announce by an old grant what it published long ago, which nobody remembers', async () => {
    const { data } = await network.client.get(secrets, { namespace: NAMESPACE, name: 'millrace-token-key' });
    const { current, keys } = JSON.parse(Buffer.from(data!['keys.json']!, 'base64').toString()) as {
      current: string;
      keys: (JsonWebKey & { kid: string })[];
    };
    const key = createPrivateKey({ key: { ...keys.find(({ kid }) => kid === current)! }, format: 'jwk' });
    const bad = await network.node('bad-old');
    const publication = (stream: string, endsMs: number): Publication => {
      const name = { stream, epoch: Date.now() - 20 * 24 * 3_600_000, session: 'x' };
      const at = { host: '192.0.2.1', port: 1 };
      return { ...name, tracks: [], grant: signGrant({ ...name, node: bad.name, at }, endsMs, { kid: current, key }) };
    };
    const impostor = await Impostor.dial(control, bad);
    impostor.hello([publication('live/ended', Date.now() - 60_000), publication('live/lasting', Date.now() + 60_000)]);
    const kick = await impostor.answer('kick');
    assert.match(kick.reason, /does not take the grant of this name any more/);
    assert.equal(await originOf('live/ended'), undefined);
    assert.equal((await originOf('live/lasting'))?.node, 'bad-old');
    // Its present grant is about to end, and control has sent another one.
    await eventually(
      () => impostor.heard.some((message) => message.type === 'granted' && message.stream === 'live/lasting'),
      'a grant',
    );
    impostor.close();
  });

  test('publishes nothing without the token of a publisher, and as nobody else', async () => {
    const node = await network.node('bad-2');
    const impostor = await Impostor.dial(control, node);
    impostor.hello();
    await impostor.answer('snapshot');
    const refused = async (token: string | undefined, named: RegExp): Promise<void> => {
      impostor.heard.length = 0;
      impostor.say({ type: 'publish', id: 1, stream: 'live/secret', session: 's', token, tracks: [] });
      const answer = await impostor.answer('published');
      assert.ok(!answer.ok && answer.status === 401, JSON.stringify(answer));
      assert.match(answer.detail!, named);
    };
    await refused(undefined, /a token is needed/);
    await refused('e30.e30.e30', /not a JWT|no known key|alg/i);
    await refused(await network.pushToken('live/other'), /the token is for live\/other/);
    assert.equal(await originOf('live/secret'), undefined);
    impostor.close();
  });

  test('has the roles of its MediaNode, whatever it says', async () => {
    const node = await network.node('bad-3', { roles: ['pull'] });
    const impostor = await Impostor.dial(control, node);
    impostor.hello([], { roles: ['push', 'pull'] });
    await impostor.answer('snapshot');
    const token = await network.pushToken('live/role');
    impostor.say({ type: 'publish', id: 1, stream: 'live/role', session: 's', token, tracks: [] });
    const answer = await impostor.answer('published');
    assert.ok(!answer.ok && answer.status === 403);
    impostor.close();
  });

  test('cannot name addresses that are not those of its pod, which its MediaNode then says', async () => {
    const node = await network.node('bad-address', { addresses: ['127.0.0.1', '2001:db8::7', 'edge.example'] });
    const { endpoints } = node.identity();
    const foreign: [field: string, change: object][] = [
      ['signalingUrl', { signalingUrl: 'https://203.0.113.66:443' }],
      ['signalingUrl', { signalingUrl: 'https://[2001:db8::8]' }],
      ['signalingUrl', { signalingUrl: 'https://edge.example@evil.example' }],
      ['host', { host: '203.0.113.66' }],
      ['otherHosts', { otherHosts: ['2001:db8::7', 'evil.example'] }],
      ['opsUrl', { opsUrl: 'http://169.254.169.254' }],
    ];
    for (const [field, change] of foreign) {
      const impostor = await Impostor.dial(control, node);
      const closed = impostor.closed();
      impostor.hello([], { endpoints: { ...endpoints, ...change } });
      assert.equal(await closed, AgentClose.forbidden, field);
    }
    const connected = async () =>
      (await network.mediaNode('bad-address')).status?.conditions?.find(({ type }) => type === 'AgentConnected');
    await eventually(async () => (await connected())?.reason === 'Refused', 'the condition');
    const { message } = (await connected())!;
    assert.match(
      message,
      /endpoints\.signalingUrl names 203\.0\.113\.66, .* spec\.addresses .* 127\.0\.0\.1, 2001:db8::7, edge\.example/,
    );
    const honest = await Impostor.dial(control, node);
    const own = { signalingUrl: 'http://[2001:DB8:0::7]:80', host: 'Edge.example', otherHosts: ['::ffff:127.0.0.1'] };
    honest.hello([], { endpoints: { ...endpoints, ...own } });
    await honest.answer('welcome');
    await eventually(async () => (await connected())?.status === 'True', 'connected');
    honest.close();
  });

  test('is believed of streams that it carries as far as control knows, and of no others', async () => {
    const [publisher, bad] = [await network.node('honest-origin'), await network.node('bad-report')];
    const channel = await publisher.connect([control.agentUrl]);
    const { epoch } = await network.publish(channel, { stream: 'live/counted', session: 's', tracks: [] });
    const impostor = await Impostor.dial(control, bad);
    impostor.hello();
    await impostor.answer('welcome');
    const load = { cpuPercent: 0, egressMbps: 0, ingressMbps: 0, sessions: 0, publishers: 0, viewers: 0, streams: 0 };
    const said = { stream: 'live/counted', epoch, viewers: 999_999, path: ['made-up'], rttMs: 0, lossPercent: 0 };
    const report = { type: 'report' as const, at: Date.now(), load, links: [] };
    const viewersOf = async (): Promise<number | undefined> => {
      const answer = await fetch(new URL('/v1/streams/live/counted', control.url), {
        headers: { authorization: `Bearer ${APP_KEY}` },
      });
      return ((await answer.json()) as { viewers?: number }).viewers;
    };
    for (const role of ['origin', 'edge', 'relay'] as const) impostor.say({ ...report, streams: [{ ...said, role }] });
    // Answers come in order: the reports before it have been read.
    impostor.say({ type: 'resolve', id: 7, stream: 'live/counted' });
    await impostor.answer('resolved');
    assert.equal(await viewersOf(), 0);
    impostor.say({ ...report, streams: [{ ...said, role: 'edge', viewers: 3 }] });
    await eventually(async () => (await viewersOf()) === 3, 'the viewers of a stream that it subscribes to');
    impostor.close();
  });

  test('waits for the addresses of its pod, and is told when there are none', async () => {
    const node = await network.node('new-pod', { addresses: undefined });
    const early = await Impostor.dial(control, node);
    early.hello();
    await network.client.patch(
      mediaNodes,
      { namespace: NAMESPACE, name: 'new-pod' },
      { type: 'merge', patch: { spec: { addresses: ['127.0.0.1'] } } },
    );
    await early.answer('welcome');
    early.close();
    const without = await network.node('no-address', { addresses: undefined });
    const late = await Impostor.dial(control, without);
    const closed = late.closed();
    late.hello();
    assert.equal(await closed, AgentClose.forbidden);
    const shown = async () =>
      (await network.mediaNode('no-address')).status?.conditions?.find(({ type }) => type === 'AgentConnected')?.message;
    await eventually(async () => /has no addresses yet/.test((await shown()) ?? ''), 'the condition');
  });

  test('ends neither control nor its connections with a message that no schema can look through', async () => {
    const [bad, good] = [await network.node('bad-4'), await network.node('good-4')];
    const impostor = await Impostor.dial(control, bad);
    const closed = impostor.closed();
    const parameters = Object.fromEntries(Array.from({ length: 200_000 }, (_, n) => [`${n} `, {}]));
    impostor.say({ type: 'publish', id: 1, stream: 'live/x', session: 's', tracks: [{ codec: { parameters } }] } as never);
    assert.equal(await closed, AgentClose.badMessage);
    assert.match(await Impostor.refusal(control, bad), / 429 .*sent what no node sends/s);
    const channel = await good.connect([control.agentUrl]);
    assert.equal(channel.state, 'connected');
  });

  test('takes no places of others, however often it dials and says nothing', async () => {
    const [bad, good] = [await network.node('bad-5'), await network.node('good-5')];
    const silent = [await Impostor.dial(control, bad), await Impostor.dial(control, bad)];
    for (let n = 0; n < 300; n++) assert.match(await Impostor.refusal(control, bad), / 429 .*have not said hello/s);
    const channel = await good.connect([control.agentUrl]);
    assert.equal(channel.state, 'connected');
    silent[0]!.hello();
    await silent[0]!.answer('snapshot');
    const next = await Impostor.dial(control, bad);
    for (const impostor of [...silent, next]) impostor.close();
  });

  test('while keys are rotated, publishers keep their names', async () => {
    const node = await network.node('rotated');
    const channel = await node.connect([control.agentUrl]);
    const { epoch } = await network.publish(channel, { stream: 'live/long', session: 's', tracks: [] });
    const secret = { namespace: NAMESPACE, name: 'millrace-token-key' };
    const { data } = await network.client.get(secrets, secret);
    const old = JSON.parse(Buffer.from(data!['keys.json']!, 'base64').toString()) as { current: string; keys: object[] };
    const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    const fresh = { ...(await exportJWK(privateKey)), kid: 'next', alg: 'EdDSA', use: 'sig' };
    const put = (set: object) =>
      network.client.patch(secrets, secret, {
        type: 'merge',
        patch: { data: { 'keys.json': Buffer.from(JSON.stringify(set)).toString('base64') } },
      });
    await put({ current: 'next', keys: [...old.keys, fresh] });
    await eventually(() => channel.snapshot!.tokenKeys.length === 2, 'both keys are known');
    await put({ current: 'next', keys: [fresh] });
    await eventually(() => channel.snapshot!.tokenKeys.length === 1, 'the old key is gone');
    const kicks: unknown[] = [];
    channel.on('kick', (kick) => kicks.push(kick));
    await channel.stop();
    await channel.start();
    await eventually(() => channel.state === 'connected', 'the node is back');
    await eventually(async () => (await originOf('live/long'))?.epoch === epoch, 'under its name');
    assert.deepEqual(kicks, []);
  });
});
