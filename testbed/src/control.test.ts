import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  mediaNodes,
  verifyMediaToken,
  AgentClose,
  NodeCertificateVerifier,
  AGENT_MAX_MESSAGE_BYTES,
  AGENT_SUBPROTOCOL,
  type PlacementResponse,
  type TrackDescription,
} from '@millrace/api';
import { isTrue, secrets } from '@millrace/kube';
import { createLogger, Problem, realClock } from '@millrace/service';
import { Redis } from 'ioredis';
import { WebSocket } from 'ws';
import type { Control } from '@millrace/control';
import { MemoryDirectory, RedisDirectory } from '@millrace/control';
import { APP_KEY, eventually, NAMESPACE, ControlNetwork } from './control-network.ts';
import { noRedis, startRedis } from '@millrace/testkit/redis-server';

const TRACKS: TrackDescription[] = [
  {
    track: 0,
    kind: 'video',
    codec: { mimeType: 'video/VP8', payloadType: 101, clockRate: 90_000 },
    headerExtensions: [],
    layers: [
      { layer: 0, ssrc: 1 },
      { layer: 1, ssrc: 2 },
    ],
  },
];

describe('control and its nodes', () => {
  let network: ControlNetwork;
  let control: Control;

  before(async () => {
    network = await ControlNetwork.start();
    control = await network.control();
  });
  after(() => network.stop());

  test('a node connects, runs its generation, and its MediaNode says so', async () => {
    const node = await network.node('basic');
    const channel = await node.connect([control.agentUrl]);
    assert.equal(channel.snapshot?.self.node, 'basic');
    await eventually(async () => {
      const { status, metadata } = await network.mediaNode('basic');
      return (
        isTrue(status?.conditions, 'AgentConnected') &&
        isTrue(status?.conditions, 'Programmed') &&
        status?.programmedGeneration === metadata.generation
      );
    }, 'AgentConnected and Programmed');
    const { status } = await network.mediaNode('basic');
    assert.equal(status?.agent?.replica, control.replica);
    assert.equal(status?.agent?.bootId, channel.bootId);
    assert.equal(status?.endpoints?.signalingUrl, node.identity().endpoints.signalingUrl);
    await eventually(async () => (await network.mediaNode('basic')).status?.load?.sessions === 0, 'load');
    const healthy = async () => (await network.mediaNode('basic')).status?.conditions?.find(({ type }) => type === 'Healthy');
    await eventually(async () => (await healthy())?.status === 'True', 'no problems');
    node.report = { ...node.report, problems: ['media workers of core 1 die again and again'] };
    await eventually(async () => (await healthy())?.status === 'False', 'the problem in its status');
    assert.match((await healthy())!.message, /core 1 die again/);
  });

  test('a changed spec reaches the node and is acknowledged; other nodes receive nothing', async () => {
    const [one, two] = [await network.node('spec-1'), await network.node('spec-2')];
    const [channel, other] = [await one.connect([control.agentUrl]), await two.connect([control.agentUrl])];
    const version = other.snapshot!.version;
    await network.client.patch(
      mediaNodes,
      { namespace: NAMESPACE, name: 'spec-1' },
      { type: 'merge', patch: { spec: { cordoned: true } } },
    );
    await eventually(() => channel.snapshot!.self.cordoned, 'cordoned in the snapshot');
    await eventually(async () => {
      const { status, metadata } = await network.mediaNode('spec-1');
      return metadata.generation === 2 && status?.programmedGeneration === 2;
    }, 'generation 2 is programmed');
    assert.equal(other.snapshot!.version, version);
  });

  test('a node gets the addresses of its peers, the keys of its mesh and of tokens, and is notified when a peer comes up', async () => {
    await network.mesh('mesh');
    const psk = Buffer.alloc(32, 7).toString('base64');
    await network.client.create(secrets, { metadata: { namespace: NAMESPACE, name: 'mesh-trunk-key' }, data: { psk } });
    const relay = await network.node('mesh-relay', { roles: ['relay'], mesh: 'mesh' });
    const peers = [{ node: 'mesh-relay', region: 'north' }];
    const routes = [{ originRegion: 'south', policy: 'default', paths: [{ hops: ['mesh-relay'], costMs: 1 }] }];
    const edge = await network.node('mesh-edge', { mesh: 'mesh', relays: ['mesh-relay'], peers, routes });
    const channel = await edge.connect([control.agentUrl]);
    await eventually(() => channel.snapshot!.mesh !== undefined, 'mesh settings');
    assert.equal(channel.snapshot!.mesh!.keys[0]!.secret, psk);
    assert.equal(channel.snapshot!.mesh!.kcp.deadlineMs, 600);
    assert.ok(channel.snapshot!.tokenKeys.length === 1);
    const { certificate } = channel.snapshot!.self;
    const key = Buffer.from(edge.identity().nodeKey, 'base64');
    const verifier = new NodeCertificateVerifier(channel.snapshot!.tokenKeys);
    assert.ok(verifier.verify(Buffer.from(certificate!, 'base64'), { node: edge.name, key }), 'of the key in its hello');

    // A typo in a rotation: no field that nodes would refuse reaches them, and without a good key they keep the last one.
    const secret = { namespace: NAMESPACE, name: 'mesh-trunk-key' };
    const next = Buffer.alloc(32, 8).toString('base64');
    const keys = (): string[] => channel.snapshot!.mesh!.keys.map((key) => key.secret);
    const change = (data: Record<string, string>) =>
      network.client.patch(secrets, secret, { type: 'merge', patch: { data } }, {});
    await change({ 'psk-short': 'YWJj', 'psk-long': Buffer.alloc(97).toString('base64'), 'psk-next': next });
    await eventually(() => keys().length === 2, 'the further key');
    assert.deepEqual(keys(), [psk, next]);
    await change({ psk: 'YWJj', 'psk-next': Buffer.alloc(32, 9).toString('base64') });
    await change({ psk });
    await eventually(() => keys()[1] !== next, 'the changed further key');
    assert.deepEqual(keys()[0], psk);

    assert.deepEqual([channel.snapshot!.peers, channel.snapshot!.routes], [[], []]);
    await relay.connect([control.agentUrl]);
    await eventually(() => channel.snapshot!.peers.length === 1, 'the peer address');
    const { host, trunkPort } = relay.identity().endpoints;
    assert.deepEqual(channel.snapshot!.peers, [{ node: 'mesh-relay', region: 'north', host, port: trunkPort }]);
    assert.deepEqual(channel.snapshot!.routes, [{ originRegion: 'south', policy: 'default', paths: [{ hops: ['mesh-relay'] }] }]);
    assert.deepEqual([channel.snapshot!.probe, channel.snapshot!.relays], [['mesh-relay'], ['mesh-relay']]);
  });

  test('a published stream resolves on other nodes, changes reach the nodes that carry it, and none after the release', async () => {
    const [origin, edge] = [await network.node('pub-1'), await network.node('pub-2', { region: 'south' })];
    const [publisher, viewer] = [await origin.connect([control.agentUrl]), await edge.connect([control.agentUrl])];
    await assert.rejects(viewer.resolve('live/one'), (error) => error instanceof Problem && error.status === 404);
    const { epoch, policy } = await network.publish(publisher, { stream: 'live/one', session: 's1', tracks: TRACKS });
    assert.equal(policy.policyKey, 'default');
    const state = await viewer.resolve('live/one');
    assert.deepEqual([state.epoch, state.origin.node, state.origin.region, state.tracks], [epoch, 'pub-1', 'north', TRACKS]);
    await eventually(() => viewer.snapshot!.streams.length === 1, 'the stream is in the snapshot');

    const seen = TRACKS.map((track) => ({ ...track, layers: [...track.layers].reverse() }));
    assert.notDeepEqual(seen, TRACKS);
    publisher.describe('live/one', epoch - 1, 's1', []);
    publisher.describe('live/one', epoch, 's1', seen);
    await eventually(
      () => JSON.stringify(viewer.snapshot!.streams[0]?.tracks) === JSON.stringify(seen),
      'a changed order of layers arrives without a request',
    );
    assert.equal(viewer.snapshot!.streams[0]?.epoch, epoch);

    publisher.unpublish('live/one', epoch, 's1');
    await eventually(() => viewer.snapshot!.streams.length === 0, 'its end is known');
    const next = await network.publish(publisher, { stream: 'live/one', session: 's2', tracks: TRACKS });
    assert.ok(next.epoch > epoch);
    await eventually(() => viewer.snapshot!.streams[0]?.epoch === next.epoch, 'the next epoch is known without asking');
    viewer.release('live/one');
    publisher.unpublish('live/one', next.epoch, 's2');
    assert.equal(viewer.snapshot!.streams.length, 0);
  });

  test('a duplicate is refused, or takes over and ends the first, as the StreamRoute says', async () => {
    const [one, two] = [await network.node('dup-1'), await network.node('dup-2')];
    const [first, second] = [await one.connect([control.agentUrl]), await two.connect([control.agentUrl])];
    const { epoch } = await network.publish(first, { stream: 'dup/a', session: 's1', tracks: [] });
    await assert.rejects(
      network.publish(second, { stream: 'dup/a', session: 's2', tracks: [] }),
      (error) => error instanceof Problem && error.status === 409,
    );
    await network.route('dup', { streams: ['dup/*'], origin: { onDuplicate: 'Takeover' }, distribution: { lingerSeconds: 3 } });
    await eventually(() => first.snapshot!.streams[0]?.policy.lingerMs === 3000, 'the new policy reaches the publisher');
    const kicked = once(first, 'kick');
    const takeover = await network.publish(second, { stream: 'dup/a', session: 's2', tracks: [] });
    assert.ok(takeover.epoch > epoch);
    assert.equal(((await kicked) as [{ session: string }])[0].session, 's1');
    await eventually(async () => (await network.streamRoute('dup')).status?.activeStreams === 1, 'StreamRoute counts it');
    const { streams } = (await network.streamRoute('dup')).status!;
    assert.deepEqual([streams?.[0]?.name, streams?.[0]?.epoch, streams?.[0]?.origin.node], ['dup/a', takeover.epoch, 'dup-2']);
    const byNobody = (stream: string, session = 's3'): Promise<unknown> => first.publish({ stream, session, tracks: [] });
    await assert.rejects(byNobody('dup/a'), /a token is needed/, 'a name that is live and one that is not look alike');
    await assert.rejects(byNobody('dup/nobody'), /a token is needed/);
    await network.route('open', { streams: ['open/*'], origin: { onDuplicate: 'Takeover' }, access: { publish: 'Public' } });
    await eventually(
      () =>
        byNobody('open/a').then(
          () => true,
          () => false,
        ),
      'anyone may publish there',
    );
    await assert.rejects(byNobody('open/a', 's4'), /published already/);
  });

  test('a StreamRoute keeps publishers out of other regions', async () => {
    await network.route('here', { streams: ['here/*'], origin: { regions: ['south'] } });
    const channel = await (await network.node('here-1')).connect([control.agentUrl]);
    await eventually(async () => {
      const outcome = await network
        .publish(channel, { stream: 'here/a', session: 's', tracks: [] })
        .catch((error: unknown) => error);
      if (!(outcome instanceof Problem)) channel.unpublish('here/a', (outcome as { epoch: number }).epoch, 's');
      return outcome instanceof Problem && outcome.status === 403;
    }, 'refused with 403');
  });

  test('a client that is not the pod of its MediaNode is refused', async () => {
    const [mine, theirs] = [await network.node('id-1'), await network.node('id-2')];
    const url = control.agentUrl;
    const dial = async (authorization: string, protocol = AGENT_SUBPROTOCOL): Promise<WebSocket> =>
      new WebSocket(url, protocol, { headers: { authorization } });
    const refusal = async (socket: WebSocket): Promise<number> => {
      const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
      socket.on('error', () => {});
      socket.terminate();
      return response.statusCode;
    };
    assert.equal(await refusal(await dial('')), 401);
    assert.equal(await refusal(await dial('Bearer a.b.c')), 401);
    assert.equal(await refusal(await dial(`Bearer ${await network.token({ name: 'id-1', uid: mine.uid }, 'other')}`)), 401);
    assert.equal(await refusal(await dial(`Bearer ${await network.token({ name: 'id-1', uid: mine.uid })}`, 'other')), 400);

    const hello = { type: 'hello', protocol: 1, bootId: 'b', bootedAt: 0, publications: [], subscriptions: [] };
    const closeOf = async (message: object): Promise<[number, string]> => {
      const socket = await dial(`Bearer ${(await readFile(mine.tokenFile, 'utf8')).trim()}`);
      await once(socket, 'open');
      socket.send(JSON.stringify(message));
      const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
      return [code, reason.toString()];
    };
    const [forbidden, why] = await closeOf({ ...hello, ...theirs.identity() });
    assert.equal(forbidden, AgentClose.forbidden, why);
    assert.equal((await closeOf({ ...hello, ...mine.identity(), node: 'id-2' }))[0], AgentClose.forbidden);
    const [old, remedy] = await closeOf({ ...hello, ...mine.identity(), protocol: 0 });
    assert.equal(old, AgentClose.protocolUnsupported);
    assert.match(remedy, /update/);
    assert.equal((await closeOf({ type: 'report' }))[0], AgentClose.badMessage);
  });

  test('unknown messages of a later version are ignored, an invalid request is answered, and the node stays connected', async () => {
    const node = await network.node('later');
    const socket = new WebSocket(control.agentUrl, AGENT_SUBPROTOCOL, {
      headers: { authorization: `Bearer ${(await readFile(node.tokenFile, 'utf8')).trim()}` },
    });
    await once(socket, 'open');
    const heard: { type: string; ok?: boolean; status?: number; detail?: string }[] = [];
    socket.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString()) as (typeof heard)[number]));
    const say = (message: object): void => socket.send(JSON.stringify(message));
    say({
      type: 'hello',
      protocol: 1,
      bootId: 'b',
      bootedAt: 1,
      publications: [],
      subscriptions: [],
      ...node.identity(),
      extra: 1,
    });
    await eventually(() => heard.some(({ type }) => type === 'snapshot'), 'the snapshot');
    say({ type: 'weather', wind: 3 });
    say({ type: 'report', at: 'noon' });
    say({ type: 'publish', id: 7, stream: 'no slash', session: 's', tracks: [] });
    await eventually(() => heard.some(({ type }) => type === 'published'), 'the refusal');
    const refusal = heard.find(({ type }) => type === 'published')!;
    assert.deepEqual([refusal.ok, refusal.status], [false, 400]);
    assert.match(refusal.detail!, /^stream: /);
    assert.equal(socket.readyState, WebSocket.OPEN);
    const closed = once(socket, 'close');
    socket.send('not JSON');
    assert.equal(((await closed) as [number])[0], AgentClose.badMessage);
  });

  test('a newer process of a node replaces the older one, which does not come back', async () => {
    const node = await network.node('twice');
    const older = await node.connect([control.agentUrl]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const gone = eventually(() => older.state === 'disconnected', 'the older one is closed');
    const newer = await node.connect([control.agentUrl]);
    await gone;
    assert.equal(newer.state, 'connected');
    await eventually(
      async () => (await network.mediaNode('twice')).status?.agent?.bootId === newer.bootId,
      'status names the newer one',
    );
  });

  test('an app gets a node and a token that is valid there, or the reason why no node fits', async () => {
    const headers = { authorization: `Bearer ${APP_KEY}`, 'content-type': 'application/json' };
    const place = (body: object, key = headers): Promise<Response> =>
      fetch(`${control.url}/v1/push`, { method: 'POST', headers: key, body: JSON.stringify(body) });
    const node = await network.node('http-1', { region: 'far' });
    const channel = await node.connect([control.agentUrl]);
    await eventually(
      async () => ((await (await place({ stream: 'app/x', region: 'far' })).json()) as PlacementResponse).node === 'http-1',
      'its first report',
    );
    const request = { stream: 'app/x', region: 'far', user: 'anna', rtpTo: '203.0.113.9' };
    const placed = (await (await place(request)).json()) as PlacementResponse;
    assert.equal(placed.url, `${node.identity().endpoints.signalingUrl}/whip/app/x`);
    const verdict = await verifyMediaToken(placed.token, channel.snapshot!.tokenKeys, {
      act: 'push',
      stream: 'app/x',
      nowMs: Date.now(),
    });
    assert.ok(verdict.ok && verdict.claims.sub === 'anna' && verdict.claims.rtpTo === '203.0.113.9');
    assert.ok(placed.alternatives.every((alternative) => alternative.node !== 'http-1'));

    const form = { method: 'POST', redirect: 'manual' as const, headers: { 'content-type': 'application/json' } };
    const body = JSON.stringify({ stream: 'app/x', token: placed.token, sdp: 'v=0' });
    const redirected = await fetch(`${control.url}/signaling/push`, { ...form, body });
    assert.equal(redirected.status, 307);
    assert.match(redirected.headers.get('location')!, /\/signaling\/push$/);
    assert.equal((await fetch(`${control.url}/signaling/pull`, { ...form, body })).status, 403);
    assert.equal(
      (await fetch(`${control.url}/signaling/push`, { ...form, body: JSON.stringify({ stream: 'app/x' }) })).status,
      401,
    );
    const answer = await fetch(`${control.url}/signaling/sendanswer`, {
      ...form,
      body: JSON.stringify({ session: 'http-1~abc', sdp: 'v=0' }),
    });
    assert.equal(answer.headers.get('location'), `${node.identity().endpoints.signalingUrl}/signaling/sendanswer`);

    await network.route('nowhere', { streams: ['nowhere/*'], origin: { regions: ['mars'] } });
    await eventually(async () => (await place({ stream: 'nowhere/x' })).status === 503, 'no region allowed');
    const refused = (await (await place({ stream: 'nowhere/x' })).json()) as { reasons: { node: string; reason: string }[] };
    assert.ok(refused.reasons.some(({ node: name, reason }) => name === 'http-1' && reason === 'RegionNotAllowed'));
    assert.equal((await place({ stream: 'bad name' })).status, 400);
    assert.equal((await place({ stream: 'app/x', rtpTo: 'example.org' })).status, 400);
    assert.equal((await place({ stream: 'app/x' }, { ...headers, authorization: 'Bearer wrong' })).status, 401);

    const topology = (await (await fetch(`${control.url}/v1/topology`, { headers })).json()) as {
      nodes: { node: string; connected: boolean }[];
    };
    assert.ok(topology.nodes.some(({ node: name, connected }) => name === 'http-1' && connected));
    const events = await fetch(`${control.url}/v1/topology/events`, { headers });
    const first = await events.body!.getReader().read();
    assert.match(Buffer.from(first.value!).toString(), /event: topology\ndata: \{/);
    for (const path of ['/metrics', '/healthz', '/readyz']) assert.equal((await fetch(control.url + path)).status, 200, path);
  });

  test('a node that is gone loses its streams with its MediaNode, and its status says that it is gone', async () => {
    const node = await network.node('gone');
    const channel = await node.connect([control.agentUrl]);
    await network.publish(channel, { stream: 'gone/a', session: 's', tracks: [] });
    await channel.stop();
    await eventually(async () => {
      const { status } = await network.mediaNode('gone');
      return status?.conditions?.find(({ type }) => type === 'AgentConnected')?.status === 'False';
    }, 'AgentConnected is False');
    const headers = { authorization: `Bearer ${APP_KEY}` };
    assert.equal((await fetch(`${control.url}/v1/streams/gone/a`, { headers })).status, 200);
    await network.client.delete(mediaNodes, { namespace: NAMESPACE, name: 'gone' });
    await eventually(
      async () => (await fetch(`${control.url}/v1/streams/gone/a`, { headers })).status === 404,
      'the stream is gone',
    );
  });
});

describe('restarts', () => {
  test('a control that has lost its state rebuilds it from its nodes, which keep working meanwhile', async (t) => {
    const network = await ControlNetwork.start();
    t.after(() => network.stop());
    const first = await network.control();
    const port = Number(new URL(first.url).port);
    const [origin, edge] = [await network.node('r-1'), await network.node('r-2', { region: 'south' })];
    const [publisher, viewer] = [await origin.connect([first.agentUrl]), await edge.connect([first.agentUrl])];
    const { epoch } = await network.publish(publisher, { stream: 'live/one', session: 's1', tracks: TRACKS });
    await viewer.resolve('live/one');
    await eventually(() => viewer.snapshot!.streams.length === 1, 'the stream is carried');

    await first.stop(0);
    await eventually(() => viewer.state !== 'connected' && publisher.state !== 'connected', 'both are alone');
    assert.equal((await viewer.resolve('live/one')).epoch, epoch);
    viewer.release('live/one');

    const second = await network.control({ port });
    await eventually(() => viewer.state === 'connected' && publisher.state === 'connected', 'both are back');
    assert.equal((await viewer.resolve('live/one')).epoch, epoch);
    await assert.rejects(network.publish(viewer, { stream: 'live/one', session: 's9', tracks: [] }), /published already/);
    await eventually(
      async () => (await network.mediaNode('r-1')).status?.agent?.replica === second.replica,
      'status names the new replica',
    );
  });

  test('descriptions larger than a message of the channel come through it in pages, at a reconnect too', async (t) => {
    const network = await ControlNetwork.start();
    t.after(() => network.stop());
    const first = await network.control();
    const port = Number(new URL(first.url).port);
    const [origin, edge] = [await network.node('large-1'), await network.node('large-2')];
    const [publisher, viewer] = [await origin.connect([first.agentUrl]), await edge.connect([first.agentUrl])];
    const parameters = Object.fromEntries(Array.from({ length: 22 }, (_, i) => [`p${i}`, 'x'.repeat(500)]));
    const tracks = [0, 1].map((track) => ({ ...TRACKS[0]!, track, codec: { ...TRACKS[0]!.codec, parameters } }));
    const streams = Array.from({ length: 1600 }, (_, i) => `live/large-${i}`);
    assert.ok(streams.length * Buffer.byteLength(JSON.stringify(tracks)) > AGENT_MAX_MESSAGE_BYTES);
    for (const stream of streams) await network.publish(publisher, { stream, session: `of-${stream}`, tracks });
    for (const stream of streams) await viewer.resolve(stream);
    await eventually(() => viewer.snapshot!.streams.length === streams.length, 'all are carried');
    await first.stop(0);
    await eventually(() => viewer.state !== 'connected' && publisher.state !== 'connected', 'both are alone');

    const second = await network.control({ port });
    await eventually(() => viewer.state === 'connected' && publisher.state === 'connected', 'both are back');
    const headers = { authorization: `Bearer ${APP_KEY}` };
    const known = async (): Promise<boolean> => {
      const answers = await Promise.all(streams.map((stream) => fetch(`${second.url}/v1/streams/${stream}`, { headers })));
      return answers.every(({ status }) => status === 200);
    };
    await eventually(known, 'control knows all of them again');
    await network.client.patch(
      mediaNodes,
      { namespace: NAMESPACE, name: 'large-2' },
      { type: 'merge', patch: { spec: { cordoned: true } } },
    );
    await eventually(() => viewer.snapshot!.self.cordoned, 'a whole snapshot');
    assert.equal(viewer.snapshot!.streams.length, streams.length);
  });

  test('without control a publisher and a request for an unknown stream are refused at once and may retry', async (t) => {
    const network = await ControlNetwork.start();
    t.after(() => network.stop());
    const control = await network.control();
    const channel = await (await network.node('alone')).connect([control.agentUrl]);
    await control.stop(0);
    await eventually(() => channel.state !== 'connected', 'the node is alone');
    const refused = async (request: () => Promise<unknown>): Promise<number> => {
      const from = performance.now();
      await assert.rejects(
        request(),
        (error) => error instanceof Problem && error.status === 503 && error.headers['retry-after'] === '2',
      );
      return performance.now() - from;
    };
    const publish = (): Promise<unknown> => network.publish(channel, { stream: 'live/one', session: 's1', tracks: [] });
    assert.ok((await refused(publish)) < 1500, 'just after the loss the node waits for at most a second');
    assert.ok((await refused(publish)) < 100);
    assert.ok((await refused(() => channel.resolve('live/none'))) < 100);
  });

  test('a node that restarts while control is away continues with its stored snapshot, which only its owner can read', async (t) => {
    const network = await ControlNetwork.start();
    t.after(() => network.stop());
    const control = await network.control();
    const [origin, edge] = [await network.node('k-1'), await network.node('k-2')];
    const [publisher, viewer] = [await origin.connect([control.agentUrl]), await edge.connect([control.agentUrl])];
    await network.publish(publisher, { stream: 'live/one', session: 's1', tracks: TRACKS });
    await viewer.resolve('live/one');
    await eventually(() => viewer.snapshot!.streams.length === 1, 'the stream is carried');
    const { version } = viewer.snapshot!;
    await viewer.stop();
    await control.stop(0);
    assert.equal((await stat(join(edge.folder, 'snapshot.json'))).mode & 0o777, 0o600);

    const restarted = edge.channel([control.agentUrl]);
    await restarted.start();
    assert.equal(restarted.snapshot?.version, version);
    assert.equal((await restarted.resolve('live/one')).origin.node, 'k-1');
    await writeFile(join(edge.folder, 'snapshot.json'), '{"version":');
    const damaged = edge.channel([control.agentUrl]);
    await damaged.start();
    assert.equal(damaged.snapshot, undefined);
  });

  test('nodes move from an old to a new control without losing their streams', async (t) => {
    const network = await ControlNetwork.start();
    t.after(() => network.stop());
    // One directory for both, as Redis is in a cluster.
    const shared = new MemoryDirectory({ clock: realClock });
    const [old, next] = [await network.control({ directory: shared }), await network.control({ directory: shared })];
    const urls = [old.agentUrl, next.agentUrl];
    const [origin, edge] = [await network.node('s-1'), await network.node('s-2')];
    const publisher = await origin.connect(urls);
    const viewer = await edge.connect([next.agentUrl]);
    const { epoch } = await network.publish(publisher, { stream: 'live/one', session: 's1', tracks: TRACKS });
    assert.equal((await viewer.resolve('live/one')).epoch, epoch, 'a stream of a node of the other replica');
    const states: string[] = [];
    publisher.on('state', (state) => states.push(state));
    await old.stop(3000);
    await eventually(
      async () => (await network.mediaNode('s-1')).status?.agent?.replica === next.replica,
      'the other replica has it',
    );
    assert.deepEqual(states, [], 'the new connection was up before the old one ended');
    assert.equal(viewer.snapshot!.streams[0]?.epoch, epoch);
    const again = await network.publish(publisher, { stream: 'live/one', session: 's1', tracks: TRACKS });
    assert.equal(again.epoch, epoch);
  });

  test(
    'two replicas on Redis: each places on nodes of both, and a directory that comes back empty is filled again',
    { skip: noRedis },
    async (t) => {
      const [network, redis] = [await ControlNetwork.start(), await startRedis()];
      t.after(async () => {
        await network.stop();
        await redis.stop();
      });
      const logger = createLogger({ service: 'test', level: 'silent' });
      const connect = () =>
        RedisDirectory.connect({ url: redis.url, clock: realClock, logger, fleet: `test-${process.pid}-replicas` });
      const [one, two] = [
        await network.control({ directory: await connect() }),
        await network.control({ directory: await connect() }),
      ];
      const [origin, edge] = [
        await network.node('x-1', { roles: ['push'] }),
        await network.node('x-2', { roles: ['pull'], region: 'south' }),
      ];
      const [publisher, viewer] = [await origin.connect([one.agentUrl]), await edge.connect([two.agentUrl])];
      const { epoch } = await network.publish(publisher, { stream: 'live/one', session: 's1', tracks: TRACKS });
      assert.equal((await viewer.resolve('live/one')).epoch, epoch);

      const headers = { authorization: `Bearer ${APP_KEY}`, 'content-type': 'application/json' };
      const place = async (control: Control, kind: string): Promise<string | undefined> => {
        const answer = await fetch(`${control.url}/v1/${kind}`, {
          method: 'POST',
          headers,
          body: JSON.stringify({ stream: 'live/one' }),
        });
        return ((await answer.json()) as Partial<PlacementResponse>).node;
      };
      await eventually(
        async () => (await place(two, 'push')) === 'x-1' && (await place(one, 'pull')) === 'x-2',
        'placed on nodes of the other replica',
      );

      const raw = new Redis(redis.url);
      await raw.flushall();
      raw.disconnect();
      await publisher.stop();
      const again = await origin.connect([two.agentUrl]);
      const next = await network.publish(again, { stream: 'live/one', session: 's2', tracks: TRACKS });
      assert.ok(next.epoch > epoch);
      await eventually(() => viewer.snapshot!.streams[0]?.epoch === next.epoch, 'the viewer follows');
    },
  );

  test('while the API server is unreachable nodes connect and publish, and placement works', async (t) => {
    const network = await ControlNetwork.start();
    t.after(() => network.stop());
    const control = await network.control();
    const node = await network.node('a-1');
    const channel = await node.connect([control.agentUrl]);
    const token = await network.pushToken('live/one');
    await network.stopApi();
    await channel.stop();
    const again = await node.connect([control.agentUrl]);
    await again.publish({ stream: 'live/one', session: 's1', token, tracks: [] });
    const headers = { authorization: `Bearer ${APP_KEY}`, 'content-type': 'application/json' };
    await eventually(async () => {
      const answer = await fetch(`${control.url}/v1/pull`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ stream: 'live/one' }),
      });
      return answer.status === 200;
    }, 'placement goes on');
  });
});
