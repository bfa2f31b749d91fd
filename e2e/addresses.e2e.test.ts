import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { networkInterfaces } from 'node:os';
import { after, before, describe, test } from 'node:test';
import type { PlacementResponse } from '@millrace/api';
import { createKubeClient, loadKubeconfig, secrets } from '@millrace/kube';
import { eventually, startNetwork, type TestNetwork } from '@millrace/testbed/network';
import { startGstreamer, type GstreamerClient } from './src/gstreamer/gstreamer.ts';

/** A non-loopback IPv4 address of this machine. */
const own = Object.values(networkInterfaces())
  .flatMap((all) => all ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
const skip = own === undefined ? 'this machine has loopback addresses only, with which libnice never pairs' : false;

/** The key with which apps call control. */
async function appKeyOf(network: TestNetwork): Promise<string> {
  const client = createKubeClient({ kubeconfig: loadKubeconfig({ file: network.kubeconfig }) });
  try {
    const { data } = await client.get(secrets, { namespace: 'default', name: 'millrace-app-keys' });
    return Buffer.from(data?.['console'] ?? '', 'base64').toString();
  } finally {
    client.close();
  }
}

async function place(network: TestNetwork, kind: 'push' | 'pull', region: string): Promise<PlacementResponse> {
  const { controlUrl } = JSON.parse(readFileSync(join(network.stateDir, 'running.json'), 'utf8')) as { controlUrl: string };
  const response = await fetch(`${controlUrl}/v1/${kind}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await appKeyOf(network)}` },
    body: JSON.stringify({ stream: 'live/gst', region }),
  });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return JSON.parse(text) as PlacementResponse;
}

async function reaches(client: GstreamerClient, what: string, isThere: () => boolean): Promise<void> {
  await eventually(what, 30_000, () => {
    assert.equal(client.seen.error, undefined);
    return isThere() || undefined;
  }).catch((error: unknown) => {
    throw new Error(`${what}: ${JSON.stringify(client.seen)}`, { cause: error });
  });
}

/** Published in Tokyo, played in Virginia. */
async function publishesAndPlays(network: TestNetwork, hosts: string[]): Promise<void> {
  const publisher = startGstreamer('publish', await place(network, 'push', 'tokyo'));
  const clients = [publisher];
  try {
    await reaches(publisher, 'the publisher connects', () => ['connected', 'completed'].includes(publisher.seen.ice));
    assert.deepEqual(
      publisher.seen.candidates.filter((address) => !address.includes(':')),
      hosts,
    );
    const placed = await place(network, 'pull', 'virginia');
    assert.equal(new URL(placed.url).hostname, hosts[0]);
    const player = startGstreamer('play', placed);
    clients.push(player);
    await reaches(player, 'the player decodes 10 frames', () => player.seen.frames >= 10);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
}

describe('GStreamer, whose ICE pairs with no loopback address', { timeout: 240_000, skip }, () => {
  let network: TestNetwork | undefined;
  after(() => network?.stop());

  test('publishes and plays with `make up` and its defaults, over the machine’s own address', async () => {
    network = await startNetwork({ source: 'none' });
    await publishesAndPlays(network, ['127.0.0.1', own!]);
    await network.stop();
  });

  describe('with `make up HOST=` an address of this machine', () => {
    before(async () => {
      network = await startNetwork({ source: 'none', env: { MILLRACE_HOST: own } });
    });

    test('it publishes and plays at that address only', () => publishesAndPlays(network!, [own!]));

    test('the page is served and asks for the app key; the API stays on loopback', async () => {
      const { consoleUrl, kubeconfig } = network!;
      assert.equal(new URL(consoleUrl).hostname, own);
      assert.equal((await fetch(consoleUrl)).status, 401);
      const authorization = `Basic ${Buffer.from(`me:${await appKeyOf(network!)}`).toString('base64')}`;
      assert.equal((await fetch(consoleUrl, { headers: { authorization } })).status, 200);
      const foreign = { authorization, origin: 'http://attacker.example' };
      assert.equal((await fetch(`${consoleUrl}/api/topology`, { headers: foreign })).status, 403);
      assert.match(readFileSync(kubeconfig, 'utf8'), /https:\/\/127\.0\.0\.1:/);
    });
  });
});
