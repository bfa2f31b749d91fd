import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { PlacementResponse } from '@millrace/api';
import { controlService, mediaNodeService, type Verdict } from '@millrace/api/operations';
import { secrets } from '@millrace/kube';
import { RtpHeader, RtpPacket } from 'werift';
import { SIGNING_KEYS_FIELD, SigningKeys, type SigningKeySet } from '@millrace/control/tokens';
import { vp8Frame } from '@millrace/testkit/webrtc';
import { tokenKeyOf } from './src/servers/credentials.ts';
import { HttpContract } from './src/servers/http-contract.ts';
import { APP_KEY, eventually, NAMESPACE, Servers, type RunningNode } from './src/servers/network.ts';
import { dialTrunk } from './src/servers/wire-attempts.ts';

const STREAM = 'live/rotated';
const TRACK = { kind: 'video', mimeType: 'video/VP8', payloadType: 96, clockRate: 90000, ssrc: 4711 };

/** A stream crosses a trunk during the whole test: no key change may lose a packet or end a session. */
describe('changing keys', { timeout: 120_000 }, () => {
  let servers: Servers;
  let one: RunningNode;
  let two: RunningNode;
  let control: HttpContract;
  let source: Socket;
  let sink: Socket;
  let sending: NodeJS.Timeout;
  const heard: { sequence: number; ssrc: number }[] = [];

  before(async () => {
    servers = await Servers.start();
    one = await servers.addNode('one', { roles: ['push', 'relay'] });
    two = await servers.addNode('two', { roles: ['pull', 'relay'] });
    control = new HttpContract(controlService, servers.control.url);
    [source, sink] = await Promise.all([socket(), socket()]);
    sink.on('message', (packet) => {
      const isRtcp = packet[1]! >= 192 && packet[1]! <= 223;
      if (!isRtcp) heard.push({ sequence: packet.readUInt16BE(2), ssrc: packet.readUInt32BE(8) });
    });
    const address = (of: Socket) => ({ ip: '127.0.0.1', port: of.address().port });
    const pushed = await new HttpContract(mediaNodeService, one.url).call('rtp-push', {
      body: { stream: STREAM, address: address(source), tracks: [TRACK] },
      token: await token('push'),
    });
    const target = pushed.json<{ ip: string; port: number }>();
    let frame = 0;
    sending = setInterval(() => {
      const header = new RtpHeader({
        payloadType: 96,
        sequenceNumber: frame & 0xffff,
        timestamp: frame * 3000,
        ssrc: 4711,
        marker: true,
      });
      source.send(new RtpPacket(header, vp8Frame(frame % 30 === 0)).serialize(), target.port, target.ip);
      frame++;
    }, 33);
    const node = new HttpContract(mediaNodeService, two.url);
    const pull = await token('pull');
    await eventually('the stream at the other node', async () => {
      const answer = await node.call('rtp-pull', { body: { stream: STREAM, address: address(sink) }, token: pull });
      return answer.status === 201 ? true : undefined;
    });
    await flows();
  });
  after(async () => {
    clearInterval(sending);
    source?.close();
    sink?.close();
    await servers?.stop();
  });

  async function token(act: 'push' | 'pull', key = APP_KEY): Promise<string> {
    return eventually(`a place to ${act}`, async () => {
      const placed = await control.call(act, { token: key, body: { stream: STREAM } });
      return placed.status === 200 ? placed.json<PlacementResponse>().token : undefined;
    });
  }

  /** Waits for thirty more packets. */
  async function flows(): Promise<void> {
    const before = heard.length;
    await eventually('packets', () => (heard.length >= before + 30 ? true : undefined));
  }

  function nothingIsMissing(): void {
    assert.deepEqual([...new Set(heard.map(({ ssrc }) => ssrc))].length, 1);
    const gaps = heard.filter(({ sequence }, index) => index > 0 && sequence !== ((heard[index - 1]!.sequence + 1) & 0xffff));
    assert.deepEqual(gaps, []);
  }

  async function setSecret(name: string, data: Record<string, string | null>): Promise<void> {
    await servers.network.client.patch(secrets, { namespace: NAMESPACE, name }, { type: 'merge', patch: { data } });
  }
  async function accepts(node: RunningNode, secret: string): Promise<Verdict> {
    const peer = { node: node.name, host: '127.0.0.1', port: node.node.endpoints.trunkPort };
    return dialTrunk(peer, { secret, certifiedBy: await tokenKeyOf(servers), patienceMs: 1500 });
  }

  test('the trunk key: nodes accept both keys while the Secret holds two, then only the new one; trunks stay up', async () => {
    const next = randomBytes(32).toString('base64');
    assert.equal(await accepts(one, next), 'silence');
    await setSecret('mesh-trunk-key', { psk: next, 'psk-old': servers.trunkKey });
    for (const node of [one, two]) {
      await eventually('the new key', async () => ((await accepts(node, next)) === 'yes' ? true : undefined));
      assert.equal(await accepts(node, servers.trunkKey), 'yes', 'a node that has not heard yet');
    }
    await flows();
    await setSecret('mesh-trunk-key', { 'psk-old': null });
    for (const node of [one, two])
      await eventually('the old key is gone', async () =>
        (await accepts(node, servers.trunkKey)) === 'silence' ? true : undefined,
      );
    assert.equal(await accepts(one, next), 'yes');
    await flows();
    nothingIsMissing();
  });

  test('the token key: tokens of both keys are valid while the Secret holds two, then only those of the new one; sessions continue', async () => {
    const node = new HttpContract(mediaNodeService, two.url);
    const pull = async (shown: string): Promise<number> =>
      (await node.call('short-pull', { body: { stream: STREAM, token: shown } })).status;
    const [before, after] = await Promise.all([
      keySet(),
      SigningKeys.create().then((data) => decoded(data[SIGNING_KEYS_FIELD]!)),
    ]);
    const old = await token('pull');
    assert.equal(await pull(old), 200);
    const both = { current: after.current, keys: [...before.keys, ...after.keys] };
    // The key is distributed first and made current afterwards: no node may get a token whose key it does not know.
    await setSecret('millrace-token-key', { [SIGNING_KEYS_FIELD]: encoded({ ...both, current: before.current }) });
    await delay(500);
    await setSecret('millrace-token-key', { [SIGNING_KEYS_FIELD]: encoded(both) });
    const fresh = await eventually('a token of the new key', async () => {
      const minted = await token('pull');
      return kidOf(minted) === after.current ? minted : undefined;
    });
    assert.deepEqual([await pull(fresh), await pull(old)], [200, 200]);
    await setSecret('millrace-token-key', { [SIGNING_KEYS_FIELD]: encoded(after) });
    await eventually('the old key is gone', async () => ((await pull(old)) === 401 ? true : undefined));
    assert.equal(await pull(fresh), 200);
    await flows();
    nothingIsMissing();
  });

  test('an app key: control accepts both keys while the Secret holds two, then only the new one', async () => {
    const next = randomBytes(18).toString('base64url');
    const status = async (key: string): Promise<number> => (await control.call('streams', { token: key })).status;
    await setSecret('millrace-app-keys', { 'tests-2': Buffer.from(next).toString('base64') });
    await eventually('the new key', async () => ((await status(next)) === 200 ? true : undefined));
    assert.equal(await status(APP_KEY), 200);
    await setSecret('millrace-app-keys', { tests: null });
    await eventually('the old key is gone', async () => ((await status(APP_KEY)) === 401 ? true : undefined));
    assert.equal(await status(next), 200);
    nothingIsMissing();
  });

  async function keySet(): Promise<SigningKeySet> {
    const { data } = await servers.network.client.get(secrets, { namespace: NAMESPACE, name: 'millrace-token-key' });
    return decoded(data![SIGNING_KEYS_FIELD] as string);
  }
});

const encoded = (set: SigningKeySet): string => Buffer.from(JSON.stringify(set)).toString('base64');
const decoded = (text: string): SigningKeySet => JSON.parse(Buffer.from(text, 'base64').toString()) as SigningKeySet;
const kidOf = (token: string): string =>
  (JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as { kid: string }).kid;

async function socket(): Promise<Socket> {
  const made = createSocket('udp4').bind(0, '127.0.0.1');
  await once(made, 'listening');
  return made;
}
