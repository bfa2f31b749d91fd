import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Problem } from '@millrace/service';
import type { StreamList, Topology } from '@millrace/api';
import type { Control } from '@millrace/control';
import { secrets } from '@millrace/kube';
import { APP_KEY, ControlNetwork, eventually, NAMESPACE, type TestNode } from './control-network.ts';

const SHOP_KEY = 'key-of-the-shop-0001';

/** Control with a real API server and real nodes' channels. */
describe('an app key that lists its apps', () => {
  let network: ControlNetwork;
  let control: Control;
  let channel: Awaited<ReturnType<TestNode['connect']>>;

  before(async () => {
    network = await ControlNetwork.start();
    const keys = await network.client.get(secrets, { namespace: NAMESPACE, name: 'millrace-app-keys' });
    const shop = Buffer.from(`${SHOP_KEY} apps=shop,sale-*`).toString('base64');
    const broken = Buffer.from(`${SHOP_KEY}-too live`).toString('base64');
    await network.client.update(secrets, { ...keys, data: { ...keys.data, shop, broken } });
    control = await network.control();
    channel = await (await network.node('keys-1')).connect([control.agentUrl]);
    for (const stream of ['shop/window', 'sale-2026/hall', 'live/other'])
      await network.publish(channel, { stream, session: stream, tracks: [] });
    await eventually(async () => (await post('push', 'shop/new', SHOP_KEY)).status === 200, 'the node has reported');
  });
  after(() => network.stop());

  const post = (act: string, stream: string, key: string): Promise<Response> =>
    fetch(`${control.url}/v1/${act}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ stream }),
    });
  const get = (path: string, key = SHOP_KEY): Promise<Response> =>
    fetch(control.url + path, { headers: { authorization: `Bearer ${key}` } });
  const namesOf = ({ items }: StreamList): string[] => items.map(({ stream }) => stream);

  test('places those alone; the refusal names them', async () => {
    for (const act of ['push', 'pull']) {
      for (const stream of ['shop/window', 'sale-2026/hall']) assert.equal((await post(act, stream, SHOP_KEY)).status, 200);
      for (const stream of ['live/other', 'shopping/x', 'sale/x']) {
        const refused = await post(act, stream, SHOP_KEY);
        assert.equal(refused.status, 403, stream);
        const { detail } = (await refused.json()) as Problem;
        assert.match(detail!, /is no app of the key "shop", which is for shop, sale-\*/);
      }
      assert.equal((await post(act, 'live/other', APP_KEY)).status, 200, 'a key without a list is for all');
    }
  });

  test('sees those alone, in lists, alone and in the topology', async () => {
    assert.deepEqual(namesOf((await (await get('/v1/streams')).json()) as StreamList), ['sale-2026/hall', 'shop/window']);
    assert.deepEqual(namesOf((await (await get('/v1/streams?limit=1')).json()) as StreamList), ['sale-2026/hall']);
    assert.equal(namesOf((await (await get('/v1/streams', APP_KEY)).json()) as StreamList).length, 3);
    assert.equal((await get('/v1/streams?prefix=live/')).status, 403);
    assert.equal((await get('/v1/streams/shop/window')).status, 200);
    for (const path of ['/v1/streams/live/other', '/v1/streams/live/nobody']) assert.equal((await get(path)).status, 403, path);
    const streamsOf = (topology: unknown): string[] =>
      (topology as Topology).streams.map(({ stream }) => stream).sort((a, b) => (a < b ? -1 : 1));
    assert.deepEqual(streamsOf(await (await get('/v1/topology')).json()), ['sale-2026/hall', 'shop/window']);
    assert.equal(streamsOf(await (await get('/v1/topology', APP_KEY)).json()).length, 3);
    const events = await get('/v1/topology/events');
    const { value } = await events.body!.getReader().read();
    const data = /^data: (.*)$/m.exec(Buffer.from(value!).toString())![1]!;
    assert.deepEqual(streamsOf(JSON.parse(data)), ['sale-2026/hall', 'shop/window']);
  });

  test('grants nothing when its field is wrong', async () => {
    assert.equal((await post('push', 'live/a', `${SHOP_KEY}-too`)).status, 401);
    assert.equal((await post('push', 'live/a', `${SHOP_KEY} apps=shop,sale-*`)).status, 401);
  });

  test('sees its own streams in the topology, however many others there are', async () => {
    const others = Array.from({ length: 210 }, (_, n) => `live/many-${n}`);
    for (const stream of [...others, 'shop/late']) await network.publish(channel, { stream, session: stream, tracks: [] });
    const topology = async (key: string): Promise<Topology> => (await (await get('/v1/topology', key)).json()) as Topology;
    await eventually(async () => (await topology(APP_KEY)).truncated.includes('streams'), 'the topology is as large as it gets');
    assert.equal((await topology(APP_KEY)).streams.length, 200);
    const seen = async (): Promise<string[]> => (await topology(SHOP_KEY)).streams.map(({ stream }) => stream).sort();
    await eventually(async () => (await seen()).includes('shop/late'), 'the latest stream of the shop is seen');
    assert.deepEqual(await seen(), ['sale-2026/hall', 'shop/late', 'shop/window']);
    assert.deepEqual((await topology(SHOP_KEY)).truncated, []);
  });
});
