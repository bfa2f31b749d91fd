import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { streamRoutes, type StreamView } from '@millrace/api';
import { secrets } from '@millrace/kube';
// Real nodes and a real WebRTC stack, so that control's messages must take effect there.
import type { MediaNode } from '@millrace/media-node';
import { newPlayer, newPublisher, type Publisher } from '@millrace/testkit/webrtc';
import type { Control } from '@millrace/control';
import { APP_KEY, eventually, NAMESPACE, ControlNetwork } from './control-network.ts';
import { startRealNode } from './real-node.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const post = (url: string, body: object, init: RequestInit = {}): Promise<Response> =>
  fetch(url, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(body), ...init });

describe('control with real media nodes', { timeout: 90_000 }, () => {
  let network: ControlNetwork;
  let control: Control;
  let publisher: Publisher;
  const nodes: MediaNode[] = [];

  before(async () => {
    network = await ControlNetwork.start();
    await network.mesh('mesh');
    const psk = Buffer.alloc(32, 7).toString('base64');
    await network.client.create(secrets, { metadata: { namespace: NAMESPACE, name: 'mesh-trunk-key' }, data: { psk } });
    const access = { publish: 'Public', play: 'Public' };
    const distribution = { prewarm: ['south'], lingerSeconds: 1 };
    await network.route('warm', { streams: ['warm/*'], access, distribution });
    control = await network.control();
    const { node: push } = await startRealNode(network, control, 'north-push', { region: 'north', roles: ['push'] });
    const { node: south } = await startRealNode(network, control, 'south-pull', { region: 'south', roles: ['pull'] });
    const { node: east } = await startRealNode(network, control, 'east-pull', { region: 'east', roles: ['pull'] });
    nodes.push(push, south, east);
    await eventually(() => nodes.every((node) => node.readiness().ok), 'the nodes are ready');
    await eventually(async () => (await place('push')).status === 200, 'a publisher can be placed');
    publisher = await newPublisher();
    const response = await fetch(`${push.endpoints.signalingUrl}/whip/warm/one`, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp' },
      body: publisher.offer,
    });
    assert.equal(response.status, 201, await response.clone().text());
    await publisher.accept(await response.text());
  });
  after(async () => {
    await publisher.close();
    await Promise.all(nodes.map((node) => node.close()));
    await network.stop();
  });

  const authorization = { authorization: `Bearer ${APP_KEY}` };
  const place = (kind: string, region?: string): Promise<Response> =>
    post(
      `${control.url}/v1/${kind}`,
      { stream: 'warm/one', ...(region ? { region } : {}) },
      { headers: { ...JSON_TYPE, ...authorization } },
    );
  const edges = async (): Promise<string[]> => {
    const response = await fetch(`${control.url}/v1/streams/warm/one`, { headers: authorization });
    const { paths } = (await response.json()) as StreamView;
    return paths.filter(({ role }) => role === 'edge').map(({ node }) => node);
  };

  test('a stream is in the regions that its StreamRoute prewarms before the first viewer, and in no other', async () => {
    await eventually(async () => (await edges()).length > 0, 'the stream is held');
    assert.deepEqual(await edges(), ['south-pull']);
  });

  test('a viewer of the short form is sent through control to the node that made the offer, and plays', async () => {
    const pulled = await post(`${control.url}/signaling/pull`, { stream: 'warm/one' });
    assert.equal(pulled.status, 200, await pulled.clone().text());
    const { session, sdp, resource } = (await pulled.json()) as { session: string; sdp: string; resource: string };
    assert.match(session, /^(south|east)-pull~[\w-]{22}$/);
    const player = await newPlayer(sdp);
    const answered = await post(`${control.url}/signaling/sendanswer`, { session, sdp: player.answer });
    assert.equal(answered.status, 200, await answered.clone().text());
    await eventually(() => player.received.video >= 30 && player.received.audio >= 30, 'frames');
    const node = new URL(pulled.url).origin;
    assert.equal((await fetch(new URL(`${resource}/layers`, pulled.url))).status, 200);
    const bare = session.slice(session.indexOf('~') + 1);
    assert.equal((await fetch(`${node}/whep/sessions/${bare}/layers`)).status, 200);
    const stopped = await post(`${control.url}/signaling/stop`, { session });
    assert.equal(stopped.status, 200, await stopped.clone().text());
    assert.equal((await fetch(new URL(`${resource}/layers`, pulled.url))).status, 404);
    await player.close();
  });

  test('a held stream stays when its last viewer leaves, and ends when the StreamRoute no longer prewarms it', async () => {
    const { url, token } = (await (await place('pull', 'south')).json()) as { url: string; token: string };
    const player = await newPlayer();
    const headers = { 'content-type': 'application/sdp', authorization: `Bearer ${token}` };
    const response = await fetch(url, { method: 'POST', headers, body: player.offer });
    assert.equal(response.status, 201, await response.clone().text());
    await player.accept(await response.text());
    await eventually(() => player.received.video >= 10, 'frames');
    await fetch(new URL(response.headers.get('location')!, url), { method: 'DELETE' });
    await player.close();
    // Longer than its linger of 1 s and the interval of reports.
    await new Promise((resolve) => setTimeout(resolve, 3500));
    assert.ok((await edges()).includes('south-pull'));
    const patch = { spec: { distribution: { prewarm: ['east'] } } };
    await network.client.patch(streamRoutes, { namespace: NAMESPACE, name: 'warm' }, { type: 'merge', patch });
    await eventually(async () => {
      const now = await edges();
      return !now.includes('south-pull') && now.includes('east-pull');
    }, 'the other region holds it now');
  });
});
