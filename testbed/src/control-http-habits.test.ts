import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Control } from '@millrace/control';
import { APP_KEY, ControlNetwork } from './control-network.ts';

const JSON_TYPE = { 'content-type': 'application/json' };

describe('habits of clients and proxies', () => {
  let network: ControlNetwork;
  let control: Control;
  before(async () => {
    network = await ControlNetwork.start();
    control = await network.control({ corsOrigins: ['https://app.example'], trustedProxies: ['127.0.0.0/8'] });
    await (await network.node('habits')).connect([control.agentUrl]);
  });
  after(() => network.stop());

  const place = (stream: string, headers: Record<string, string> = {}, path = '/v1/push'): Promise<Response> =>
    fetch(control.url + path, {
      method: 'POST',
      headers: { ...JSON_TYPE, authorization: `Bearer ${APP_KEY}`, ...headers },
      body: JSON.stringify({ stream }),
    });

  test('names that no URL can contain are refused with the field and the rule', async () => {
    for (const stream of ['sessions/x', 'SESSIONS/x', 'live/..', './x', 'live/été', 'live']) {
      const response = await place(stream);
      assert.equal(response.status, 400, stream);
      assert.match(await response.text(), /stream: must be app\/name/);
    }
  });

  test('the authorization scheme is case-insensitive, the media type may have parameters, and repeated slashes count as one', async () => {
    for (const authorization of [`bearer ${APP_KEY}`, `BEARER  ${APP_KEY}`])
      assert.equal((await place('live/a', { authorization })).status, 200);
    for (const type of ['Application/JSON', 'application/json; charset=utf8'])
      assert.equal((await place('live/a', { 'content-type': type })).status, 200);
    for (const path of ['//v1/push', '/v1//push/', '/v1%2Fpush'])
      assert.equal((await place('live/a', {}, path)).status, 200, path);
    assert.equal((await place('live/a', { authorization: `Basic ${APP_KEY}` })).status, 401);
  });

  test('each path names its methods, in response to OPTIONS without a key and with 405', async () => {
    for (const [path, allow] of [
      ['/v1/push', 'POST, OPTIONS'],
      ['/v1/streams', 'GET, HEAD, OPTIONS'],
      ['/v1/streams/live/x', 'GET, HEAD, OPTIONS'],
      ['/v1/topology', 'GET, HEAD, OPTIONS'],
      ['/v1/topology/events', 'GET, HEAD, OPTIONS'],
      ['/signaling/push', 'POST, OPTIONS'],
      ['/signaling/sendanswer', 'POST, OPTIONS'],
      ['/signaling/stop', 'POST, DELETE, OPTIONS'],
      ['/openapi.json', 'GET, HEAD, OPTIONS'],
    ] as const) {
      const options = await fetch(control.url + path, { method: 'OPTIONS' });
      assert.deepEqual([options.status, options.headers.get('allow')], [200, allow], path);
      const put = await fetch(control.url + path, { method: 'PUT', headers: { authorization: `Bearer ${APP_KEY}` } });
      assert.deepEqual([put.status, put.headers.get('allow')], [405, allow], path);
      assert.match(await put.text(), /this path takes/);
    }
    const head = await fetch(`${control.url}/v1/topology/events`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${APP_KEY}` },
    });
    assert.match(head.headers.get('content-type')!, /^text\/event-stream/);
  });

  test('a preflight from an allowed origin is granted what it requests, from another origin nothing', async () => {
    const preflight = (origin: string): Promise<Response> =>
      fetch(`${control.url}/v1/push`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,x-trace' },
      });
    const granted = await preflight('https://app.example');
    assert.equal(granted.headers.get('access-control-allow-origin'), 'https://app.example');
    assert.equal(granted.headers.get('access-control-allow-headers'), 'authorization,x-trace');
    assert.equal((await preflight('https://else.example')).headers.get('access-control-allow-origin'), null);
    const used = await fetch(`${control.url}/v1/streams/live/x`, {
      headers: { origin: 'https://app.example', authorization: `Bearer ${APP_KEY}` },
    });
    assert.match(used.headers.get('access-control-expose-headers')!, /Retry-After/);
    assert.equal(used.headers.get('retry-after'), '2');
  });

  test('a short form accepts its token in body, header or query; an invalid one beside a valid one is ignored, and the redirect keeps the valid one', async () => {
    const { token } = (await (await place('live/short')).json()) as { token: string };
    const push = (query: string, authorization?: string, inBody?: string): Promise<Response> =>
      fetch(`${control.url}/signaling/push${query}`, {
        method: 'POST',
        headers: { ...JSON_TYPE, ...(authorization === undefined ? {} : { authorization }) },
        body: JSON.stringify({ stream: 'live/short', ...(inBody === undefined ? {} : { token: inBody }) }),
        redirect: 'manual',
      });
    const led = async (response: Response): Promise<string | null> => {
      assert.equal(response.status, 307, await response.text());
      return new URL(response.headers.get('location')!).searchParams.get('access_token');
    };
    assert.equal(await led(await push('', undefined, token)), null, 'a redirect keeps the body');
    assert.equal(await led(await push('', `bearer ${token}`)), token);
    assert.equal(await led(await push(`?access_token=${token}`, 'undefined')), token);
    assert.equal(await led(await push('?access_token=junk', `Bearer junk`, token)), null);
    assert.equal(await led(await push('', `Bearer ${token}`, 'junk')), token);
    assert.equal((await push('', 'Bearer junk')).status, 401);
    assert.equal((await push('')).status, 401);
  });

  test('a refusal of SDP says where to send it', async () => {
    for (const [path, says] of [
      ['/v1/push', /media node/],
      ['/signaling/push', /media node/],
    ] as const) {
      const headers = { 'content-type': 'application/sdp', authorization: `Bearer ${APP_KEY}` };
      const response = await fetch(control.url + path, { method: 'POST', headers, body: 'v=0' });
      assert.equal(response.status, 415);
      assert.match(await response.text(), says);
    }
  });
});
