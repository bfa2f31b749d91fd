import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { PlacementResponse } from '@millrace/api';
import type { Control } from '@millrace/control';
import type { ControlChannel } from '@millrace/media-node/channel';
import { APP_KEY, ControlNetwork, eventually } from './control-network.ts';

const BY_HTTPS: [what: string, headers: Record<string, string>][] = [
  ['X-Forwarded-Proto', { 'x-forwarded-proto': 'https' }],
  ['Forwarded', { forwarded: 'for=192.0.2.1;proto=https' }],
];

describe('control behind a proxy that takes HTTPS', () => {
  let network: ControlNetwork;
  let control: Control;
  let tls: ControlChannel;
  before(async () => {
    network = await ControlNetwork.start();
    control = await network.control({ trustedProxies: ['127.0.0.0/8'] });
    await network.route('open', { streams: ['open/*'], access: { publish: 'Public', play: 'Public' } });
    await (await network.node('plain')).connect([control.agentUrl]);
    await eventually(async () => (await place({})).status === 200, 'the node has reported');
  });
  after(() => network.stop());

  const post = (path: string, body: object, headers: Record<string, string>): Promise<Response> =>
    fetch(control.url + path, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${APP_KEY}`, ...headers },
      body: JSON.stringify(body),
    });
  const place = (headers: Record<string, string>): Promise<Response> => post('/v1/push', { stream: 'open/x' }, headers);
  const push = (headers: Record<string, string>): Promise<Response> => post('/signaling/push', { stream: 'open/x' }, headers);
  const answer = (node: string, headers: Record<string, string>): Promise<Response> =>
    post('/signaling/sendanswer', { session: `${node}~abc`, sdp: 'v=0' }, headers);

  for (const [what, headers] of BY_HTTPS) {
    test(`by ${what}: names no node that serves plain HTTP, and says why`, async () => {
      for (const response of [await place(headers), await push(headers)]) {
        assert.equal(response.status, 503);
        assert.equal(response.headers.get('location'), null);
        const { detail, reasons } = (await response.json()) as { detail: string; reasons: { node: string; reason: string }[] };
        assert.match(detail, /came by HTTPS.*set network\.tlsSecretRef of its MediaEdge/);
        assert.deepEqual(reasons, [{ node: 'plain', reason: 'NoHttps' }]);
      }
      const refused = await answer('plain', headers);
      assert.equal(refused.status, 503);
      assert.match(await refused.text(), /the session is on node plain.*HTTPS/);
    });
  }

  test('a request by plain HTTP is redirected as before', async () => {
    assert.equal((await push({ 'x-forwarded-proto': 'http' })).status, 307);
    assert.equal((await answer('plain', {})).status, 307);
  });

  test('with a node that serves HTTPS too, all places of a request by HTTPS are on it', async () => {
    const node = await network.node('tls');
    node.scheme = 'https';
    tls = await node.connect([control.agentUrl]);
    assert.equal(tls.state, 'connected');
    const headers = BY_HTTPS[0]![1];
    await eventually(async () => (await place(headers)).status === 200, 'its report');
    const { url, alternatives } = (await (await place(headers)).json()) as PlacementResponse;
    assert.match(url, /^https:/);
    assert.deepEqual(alternatives, []);
    assert.match((await push(headers)).headers.get('location') ?? '', /^https:/);
    assert.match((await answer('tls', headers)).headers.get('location') ?? '', /^https:/);
  });

  test('a node that serves HTTPS is not told of nodes that do not', async () => {
    assert.deepEqual(await tls.alternatives('push', 'open/x'), []);
  });
});
