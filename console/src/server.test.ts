import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { createLogger, type HttpService } from '@millrace/service';
import { startConsole } from './server.ts';

const KEY = 'console-key-of-the-tests';
const logger = createLogger({ service: 'console', level: 'silent' });

function start(host: string): Promise<HttpService> {
  // Nothing listens at the discard port: a request that is forwarded to control is answered 502.
  return startConsole({
    host,
    port: 0,
    controlUrl: 'http://127.0.0.1:9',
    appKey: KEY,
    logger,
    stream: 'live/demo',
    region: 'north',
  });
}

/** fetch does not let a test set Host and Origin. */
function get(port: number, path: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    });
    sent.on('error', reject).end();
  });
}

describe('the console on this machine', () => {
  let console: HttpService;
  before(async () => {
    console = await start('127.0.0.1');
  });
  after(() => console.close());

  test('serves its page and the endpoints that the page calls', async () => {
    const own = { 'sec-fetch-site': 'same-origin', origin: console.url };
    assert.equal(await get(console.port, '/'), 200);
    assert.equal(await get(console.port, '/api/settings', own), 200);
    assert.equal(await get(console.port, '/api/settings', { host: `localhost:${console.port}` }), 200);
    assert.equal(await get(console.port, '/api/topology', own), 502);
    assert.equal(await get(console.port, '/nothing'), 404);
  });

  test('refuses a host name that somebody points here (DNS rebinding)', async () => {
    for (const host of [`evil.example:${console.port}`, 'evil.example', '127.0.0.1.evil.example'])
      assert.equal(await get(console.port, '/api/topology', { host }), 403, host);
  });

  test('refuses calls from other origins, even from another port', async () => {
    const foreign: Record<string, string>[] = [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'http://127.0.0.1:1' },
      { origin: 'null' },
    ];
    for (const headers of foreign) assert.equal(await get(console.port, '/api/topology', headers), 403, JSON.stringify(headers));
    assert.equal(await get(console.port, '/', { 'sec-fetch-site': 'cross-site' }), 200, 'a link to the page');
  });
});

test('on an address beyond loopback the console requires its key', async () => {
  const open = await start('0.0.0.0');
  const basic = (password: string) => ({ authorization: `Basic ${Buffer.from(`anyone:${password}`).toString('base64')}` });
  assert.equal(await get(open.port, '/'), 401);
  assert.equal(await get(open.port, '/', basic('guess')), 401);
  assert.equal(await get(open.port, '/api/topology', { authorization: `Bearer ${KEY}` }), 401);
  assert.equal(await get(open.port, '/', basic(KEY)), 200);
  await open.close();
});
