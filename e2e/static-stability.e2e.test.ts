import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { MediaNodeSpec, PlacementResponse, StreamView } from '@millrace/api';
import { secrets } from '@millrace/kube';
import { APP_KEY, NAMESPACE, ControlNetwork } from '@millrace/testbed';
import type { Control } from '@millrace/control';
import { startRealNode } from '@millrace/testbed';
import type { MediaNode } from '@millrace/media-node';
import { launchBrowser, type Browser } from '@millrace/testbed/browser';
import { playbackUntil, playStream, publishCamera } from './src/browser-media.ts';

const RELAYS = ['a-relay', 'b-relay', 'c-relay'];

/** Publisher in region a, viewer in region c, relay in b: a real API server, control, five media nodes and a browser. The test plays the operator. */
describe('nodes and control without an operator', { timeout: 180_000 }, () => {
  let network: ControlNetwork;
  let control: Control;
  let browser: Browser;
  const nodes = new Map<string, MediaNode>();

  before(async () => {
    network = await ControlNetwork.start();
    await network.mesh('mesh');
    const psk = Buffer.alloc(32, 7).toString('base64');
    await network.client.create(secrets, { metadata: { namespace: NAMESPACE, name: 'mesh-trunk-key' }, data: { psk } });
    control = await network.control();
    const relays = RELAYS.map((node) => ({ node, region: node[0]! }));
    for (const { node, region } of relays) {
      await startNode(node, { region, roles: ['relay'], peers: relays.filter((peer) => peer.node !== node) });
    }
    await startNode('a-push', { region: 'a', roles: ['push'], relays: ['a-relay'], peers: [{ node: 'a-relay', region: 'a' }] });
    const viaB = { originRegion: 'a', policy: 'default', paths: [{ hops: ['c-relay', 'b-relay', 'a-relay'], costMs: 1 }] };
    await startNode('c-pull', { region: 'c', roles: ['pull'], relays: ['c-relay'], peers: relays, routes: [viaB] });
    browser = await launchBrowser();
    await eventually('all nodes are ready', () => [...nodes.values()].every((node) => node.readiness().ok));
  });

  after(async () => {
    await browser.close();
    await Promise.all([...nodes.values()].map((node) => node.close()));
    await network.stop();
  });

  async function startNode(name: string, spec: Partial<MediaNodeSpec>): Promise<void> {
    const { node } = await startRealNode(network, control, name, spec);
    nodes.set(name, node);
  }

  async function place(act: 'push' | 'pull', region: string): Promise<PlacementResponse> {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${APP_KEY}` };
    const response = await fetch(`${control.url}/v1/${act}`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ stream: 'live/demo', user: 'anna', region }),
    });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text) as PlacementResponse;
  }

  test('a stream that Chromium publishes in a is seen and heard in c, relayed through b', async () => {
    await eventually('a publisher can be placed', () => place('push', 'a').then(Boolean, () => false));
    const push = await place('push', 'a');
    assert.equal(push.node, 'a-push');
    const publisher = await browser.newPage();
    await publishCamera(publisher, { whipUrl: push.url, token: push.token, videoCodec: 'video/H264' });
    const pull = await place('pull', 'c');
    assert.equal(pull.node, 'c-pull');
    const viewer = await browser.newPage();
    await playStream(viewer, { whepUrl: pull.url, token: pull.token });
    await playbackUntil(viewer, (seen) => seen.framesDecoded >= 30 && seen.spread > 50 && seen.audioEnergy > 0, 30_000);
    const view = await eventually('control knows the path', async () => {
      const response = await fetch(`${control.url}/v1/streams/live/demo`, { headers: { authorization: `Bearer ${APP_KEY}` } });
      const stream = (await response.json()) as StreamView;
      return stream.paths?.find((path) => path.node === 'c-pull' && path.hops.length > 0);
    });
    assert.deepEqual(view.hops, ['c-relay', 'b-relay', 'a-relay', 'a-push']);
  });

  test('without control playback continues, a new viewer can join, and a new publisher is told to retry', async () => {
    const [push, pull] = await Promise.all([place('push', 'a'), place('pull', 'c')]);
    await control.stop(0);
    await eventually('nodes notice', () =>
      nodes
        .get('c-pull')!
        .readiness()
        .reasons.some((reason) => reason.includes('control cannot be reached')),
    );
    const viewer = await browser.newPage();
    await playStream(viewer, { whepUrl: pull.url, token: pull.token });
    await playbackUntil(viewer, (seen) => seen.framesDecoded >= 30 && seen.spread > 50, 30_000);
    const refused = await fetch(push.url, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp', authorization: `Bearer ${push.token}` },
      body: await viewer.evaluate(async () => {
        const pc = new RTCPeerConnection();
        pc.addTransceiver('video', { direction: 'sendonly' });
        return (await pc.createOffer()).sdp!.replace(/(a=mid:)/, 'a=ssrc:1 cname:x\r\n$1');
      }),
    });
    assert.equal(refused.status, 503, await refused.text());
    assert.ok([...nodes.values()].every((node) => node.readiness().ok));
  });
});

async function eventually<T>(what: string, probe: () => T | Promise<T>, withinMs = 20_000): Promise<NonNullable<T>> {
  const until = Date.now() + withinMs;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > until) throw new Error(`not within ${withinMs} ms: ${what}`);
    await delay(100);
  }
}
