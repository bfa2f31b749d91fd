import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { PlacementResponse } from '@millrace/api';
import type { Control } from '@millrace/control';
import { APP_KEY, ControlNetwork, eventually } from './control-network.ts';

const CAPACITY = 40;
/** Several times what the nodes have room for. */
const REQUESTS = 600;

describe('placements of clients that never come', () => {
  let network: ControlNetwork;
  let control: Control;
  before(async () => {
    network = await ControlNetwork.start();
    control = await network.control({ trustedProxies: ['127.0.0.0/8'], requestsPerSecondPerAddress: 100_000 });
    await network.route('open', { streams: ['open/*'], access: { publish: 'Public', play: 'Public' } });
    for (const name of ['one', 'two']) {
      const node = await network.node(`flooded-${name}`, { capacity: { sessions: CAPACITY, egressMbps: 1000 } });
      await node.connect([control.agentUrl], { reportIntervalMs: 2_000 });
    }
    await eventually(async () => (await ask('open/first', '192.0.2.250')) === 307, 'the nodes have reported');
    await eventually(async () => (await appPlaces()).alternatives.length === 1, 'both nodes have reported');
  });
  after(() => network.stop());

  const post = (path: string, body: object, headers: Record<string, string>): Promise<Response> =>
    fetch(control.url + path, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });

  /** POST /signaling/pull of a client at this address. */
  const ask = async (stream: string, address: string, token?: string): Promise<number> => {
    const response = await post('/signaling/pull', { stream, token }, { 'x-forwarded-for': address });
    await response.text();
    return response.status;
  };

  const appPlaces = async (stream = 'closed/film'): Promise<PlacementResponse> => {
    const response = await post('/v1/pull', { stream }, { authorization: `Bearer ${APP_KEY}` });
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as PlacementResponse;
  };

  /** Statuses of many requests, twenty at a time, and how often each came. */
  async function flood(request: (i: number) => Promise<number>): Promise<Record<number, number>> {
    const statuses: Record<number, number> = {};
    let next = 0;
    const one = async (): Promise<void> => {
      while (next < REQUESTS) {
        const status = await request(next++);
        statuses[status] = (statuses[status] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: 20 }, one));
    return statuses;
  }

  test('count once for an address, so that they never make a node look full', async () => {
    assert.deepEqual(await flood(() => ask('open/demo', '192.0.2.1')), { 307: REQUESTS });
    assert.equal((await appPlaces()).alternatives.length, 1, 'both nodes have room');
  });

  test('count once for a /64 of IPv6', async () => {
    assert.deepEqual(await flood((i) => ask('open/demo', `2001:db8::${(i + 1).toString(16)}`)), { 307: REQUESTS });
  });

  test('count for few streams of one address, however many names it makes up', async () => {
    assert.deepEqual(await flood((i) => ask(`open/made-up-${i}`, '192.0.2.2')), { 307: REQUESTS });
  });

  test('count once for a token, from however many addresses it comes', async () => {
    const { token } = await appPlaces();
    const statuses = await flood((i) => ask('closed/film', `198.51.${100 + (i >> 8)}.${i & 255}`, token));
    assert.deepEqual(statuses, { 307: REQUESTS });
  });

  test('of clients at different addresses count each, and the nodes are full until they report', async () => {
    const statuses = await flood((i) => ask('open/demo', `203.0.${113 + (i >> 8)}.${i & 255}`));
    assert.ok(statuses[503]! > 0, JSON.stringify(statuses));
  });
});
