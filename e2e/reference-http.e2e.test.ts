import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { mediaNodes, type PlacementResponse } from '@millrace/api';
import { consoleService, controlService, mediaNodeService, opsService, type Service } from '@millrace/api/operations';
import { offerText } from '@millrace/testkit/sdp';
import { newPublisher, newPlayer, type Publisher } from '@millrace/testkit/webrtc';
import { routesAt, watchServers } from './src/servers/express-routes.ts';
import { HttpContract } from './src/servers/http-contract.ts';
import { APP_KEY, eventually, Servers, type RunningNode } from './src/servers/network.ts';

watchServers();

const OBS = offerText('obs-whip');
const FRAGMENT_TYPE = 'application/trickle-ice-sdpfrag';
const FRAGMENT =
  'a=ice-ufrag:Qh2p\r\na=ice-pwd:p5uYVdqGzF3mK8wNcRtLbX\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n';
const VIDEO = { kind: 'video', mimeType: 'video/VP8', payloadType: 96, clockRate: 90000, ssrc: 4711 };

describe('the reference of the HTTP APIs and the running servers', { timeout: 180_000 }, () => {
  let servers: Servers;
  let one: RunningNode;
  let control: HttpContract;
  let node: HttpContract;
  let page: HttpContract;
  let ops: HttpContract;
  let publisher: Publisher;
  let socket: Socket;

  before(async () => {
    servers = await Servers.start();
    one = await servers.addNode('one', { roles: ['push', 'pull', 'relay'] });
    control = new HttpContract(controlService, servers.control.url);
    node = new HttpContract(mediaNodeService, one.url);
    page = new HttpContract(consoleService, servers.console.url);
    ops = new HttpContract(opsService, one.opsUrl);
    publisher = await newPublisher();
    socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
  });
  after(async () => {
    socket?.close();
    await publisher?.close();
    await servers?.stop();
  });

  async function token(act: 'push' | 'pull', stream: string): Promise<string> {
    const answer = await control.call(act, { token: APP_KEY, body: { stream } });
    assert.equal(answer.status, 200, answer.text);
    return answer.json<PlacementResponse>().token;
  }
  const whip = async (stream: string, options: object = {}) => {
    const [app = '', name = ''] = stream.split('/');
    return node.call('whip', { params: { app, name }, token: await token('push', stream), body: OBS, ...options });
  };

  const table: [string, Service, () => string][] = [
    ['control', controlService, () => servers.control.url],
    ['media node', mediaNodeService, () => one.url],
    ['console', consoleService, () => servers.console.url],
    ['operations port of control', opsService, () => servers.control.opsUrl],
    ['operations port of the operator', opsService, () => servers.operator.opsUrl],
    ['operations port of a media node', opsService, () => one.opsUrl],
  ];
  for (const [name, service, url] of table)
    test(`${name}: every route is documented, and every documented operation has its route`, () => {
      assert.deepEqual(routesAt(url()), service.operations.map(({ method, path }) => `${method} ${path}`).sort());
    });

  test('control answers as documented', async () => {
    await eventually('a node can be placed', async () =>
      (await control.call('push', { token: APP_KEY, body: { stream: 'live/demo' } })).status === 200 ? true : undefined,
    );
    const request = {
      stream: 'live/demo',
      user: 'anna',
      region: 'north',
      clientAddress: '192.0.2.1',
      group: 'g',
      exclude: ['other'],
    };
    for (const act of ['push', 'pull']) assert.equal((await control.call(act, { token: APP_KEY, body: request })).status, 200);
    assert.equal((await control.call('push', { body: request })).status, 401);
    assert.equal((await control.call('push', { token: APP_KEY, body: { stream: 'nonsense', more: 1 } })).status, 400);
    assert.equal((await control.call('push', { token: APP_KEY, body: 'hello' })).status, 415);
    assert.equal((await control.call('push', { token: APP_KEY, body: { stream: 'a/b', user: 'x'.repeat(20_000) } })).status, 413);
    const elsewhere = await control.call('pull', { token: APP_KEY, body: { stream: 'live/demo', exclude: ['one'] } });
    assert.equal(elsewhere.status, 503);
    assert.deepEqual(elsewhere.json()['reasons'], [{ node: 'one', reason: 'Excluded' }]);
    assert.equal((await control.call('streams', { token: APP_KEY, query: { limit: '1000' } })).status, 400);
    assert.equal((await control.call('stream', { token: APP_KEY, params: { app: 'live', name: 'nobody' } })).status, 404);
    for (const id of ['streams', 'topology', 'topology-events']) {
      assert.equal((await control.call(id, { token: APP_KEY })).status, 200, id);
      assert.equal((await control.call(id)).status, 401, id);
    }
    assert.equal((await control.call('openapi')).status, 200);
  });

  test('control’s short forms redirect to the node', async () => {
    const stream = 'live/short';
    for (const act of ['push', 'pull'] as const) {
      const good = await token(act, stream);
      const led = await control.call(`signaling-${act}`, { body: { stream, token: good } });
      assert.equal(led.status, 307);
      assert.equal(led.headers.get('location'), `${one.url}/signaling/${act}`);
      assert.equal((await control.call(`signaling-${act}`, { body: { stream } })).status, 401);
      assert.equal((await control.call(`signaling-${act}`, { body: { stream: 'live/other', token: good } })).status, 403);
      assert.equal((await control.call(`signaling-${act}`, { body: {} })).status, 400);
    }
    for (const id of ['signaling-answer', 'signaling-stop', 'signaling-delete']) {
      assert.equal((await control.call(id, { body: { session: 'one~x' } })).status, 307, id);
      assert.equal((await control.call(id, { body: { session: 'nowhere~x' } })).status, 404, id);
    }
  });

  test('WHIP answers as documented', async () => {
    assert.equal((await node.call('whip', { params: { app: 'live', name: 'x' }, body: OBS })).status, 401);
    assert.equal((await whip('live/x', { token: await token('pull', 'live/x') })).status, 403);
    assert.equal((await whip('live/x', { body: 'hello' })).status, 400);
    assert.equal((await whip('live/x', { body: OBS.replace('H264', 'MPEG2') })).status, 406);
    assert.equal((await whip('live/x', { headers: { accept: 'text/html' } })).status, 406);
    assert.equal((await whip('live/x', { type: 'text/plain' })).status, 415);
    assert.equal((await whip('live/x', { body: `v=0\r\n${'a=x\r\n'.repeat(20_000)}` })).status, 413);
    const created = await whip('live/x');
    assert.equal(created.status, 201);
    assert.equal((await whip('live/x')).status, 409);
    const id = created.headers.get('location')!.split('/').at(-1)!;
    const etag = created.headers.get('etag')!;
    const patch = (headers: Record<string, string>, body = FRAGMENT, type = FRAGMENT_TYPE) =>
      node.call('whip-patch', { params: { id }, headers, body, type });
    assert.equal((await patch({}, FRAGMENT.replace('Qh2p', 'Zz9q'))).status, 428);
    assert.equal((await node.call('whip-session', { params: { id } })).status, 200);
    assert.equal((await patch({ 'if-match': '"other"' })).status, 412);
    assert.equal((await patch({ 'if-match': etag }, 'm=audio')).status, 400);
    assert.equal((await patch({ 'if-match': etag }, FRAGMENT, 'text/plain')).status, 415);
    assert.equal((await patch({ 'if-match': etag })).status, 204);
    assert.equal((await patch({ 'if-match': '*' }, FRAGMENT.replace('Qh2p', 'Zz9q'))).status, 200);
    assert.equal((await node.call('whip-events', { params: { id } })).status, 200);
    assert.equal((await node.call('whip-delete', { params: { id } })).status, 200);
    assert.equal((await node.call('whip-delete', { params: { id } })).status, 200);
    for (const gone of ['whip-session', 'whip-events']) assert.equal((await node.call(gone, { params: { id } })).status, 404);
    assert.equal((await node.call('whip-patch', { params: { id }, body: FRAGMENT, type: FRAGMENT_TYPE })).status, 404);
  });

  test('a stream that is live: WHEP, short forms and plain RTP answer as documented', async () => {
    const created = await whip('live/demo', { body: publisher.offer });
    assert.equal(created.status, 201, created.text);
    await publisher.accept(created.text);
    await eventually('the stream is known', async () =>
      (await control.call('stream', { token: APP_KEY, params: { app: 'live', name: 'demo' } })).status === 200 ? true : undefined,
    );
    const play = await token('pull', 'live/demo');
    const player = await newPlayer();
    const params = { app: 'live', name: 'demo' };
    assert.equal((await node.call('whep', { params, body: player.offer })).status, 401);
    assert.equal(
      (
        await node.call('whep', {
          params: { app: 'live', name: 'nobody' },
          body: player.offer,
          token: await token('pull', 'live/nobody'),
        })
      ).status,
      404,
    );
    const watched = await node.call('whep', { params, body: player.offer, token: play });
    assert.equal(watched.status, 201, watched.text);
    await player.accept(watched.text);
    await eventually('frames', () => (player.received.video > 10 ? true : undefined));
    const id = watched.headers.get('location')!.split('/').at(-1)!;
    assert.equal((await node.call('whep-events', { params: { id } })).status, 200);
    assert.equal((await node.call('whep-session', { params: { id } })).status, 200);
    assert.equal((await node.call('layers', { params: { id } })).status, 200);
    assert.equal((await node.call('prefer-layers', { params: { id }, body: { spatialLayer: 0 } })).status, 200);
    assert.equal((await node.call('prefer-layers', { params: { id }, body: { spatialLayer: 'low' } })).status, 400);
    const both = await control.call('stream', { token: APP_KEY, params });
    assert.equal(both.status, 200);
    assert.equal((await control.call('streams', { token: APP_KEY, query: { prefix: 'live/', limit: '5' } })).status, 200);
    assert.equal((await control.call('topology', { token: APP_KEY })).status, 200);
    assert.equal((await node.call('whep-delete', { params: { id } })).status, 200);
    await player.close();

    const offered = await node.call('short-pull', { body: { stream: 'live/demo', token: play } });
    assert.equal(offered.status, 200, offered.text);
    const { session } = offered.json<{ session: string }>();
    assert.equal((await node.call('short-answer', { body: { session, sdp: 'hello' } })).status, 400);
    assert.equal((await node.call('short-stop', { body: { session } })).status, 200);
    assert.equal((await node.call('short-delete', { body: { session } })).status, 200);
    assert.equal((await node.call('short-delete', { body: { session: 'nobodys' } })).status, 404);
    assert.equal((await node.call('short-answer', { body: { session, sdp: 'v=0' } })).status, 404);
    const pushed = await node.call('short-push', {
      body: { stream: 'live/json', token: await token('push', 'live/json'), sdp: OBS },
    });
    assert.equal(pushed.status, 200, pushed.text);
    assert.equal(
      (await node.call('short-delete', { body: { session: pushed.json<{ session: string }>().session } })).status,
      200,
    );

    const address = { ip: '127.0.0.1', port: socket.address().port };
    const plain = await node.call('rtp-push', {
      body: { stream: 'live/rtp', address, tracks: [VIDEO] },
      token: await token('push', 'live/rtp'),
    });
    assert.equal(plain.status, 201, plain.text);
    const pulled = await node.call('rtp-pull', { body: { stream: 'live/demo', address }, token: play });
    assert.equal(pulled.status, 201, pulled.text);
    const srtp = { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: Buffer.alloc(44, 7).toString('base64') };
    assert.equal((await node.call('rtp-pull', { body: { stream: 'live/demo', srtp }, token: play })).status, 201);
    assert.equal((await node.call('rtp-pull', { body: { stream: 'live/demo' }, token: play })).status, 400);
    assert.equal((await node.call('rtp-pull', { body: { stream: 'live/demo', address } })).status, 401);
    const rtp = { id: plain.json<{ session: string }>().session };
    assert.equal((await node.call('rtp-session', { params: rtp })).status, 200);
    assert.equal((await node.call('rtp-delete', { params: rtp })).status, 200);
    assert.equal((await node.call('rtp-session', { params: rtp })).status, 404);
    assert.equal((await node.call('node-openapi')).status, 200);
  });

  test('console and operations ports answer as documented', async () => {
    for (const id of [
      'console-page',
      'console-style',
      'console-script',
      'console-settings',
      'console-topology',
      'console-topology-events',
    ])
      assert.equal((await page.call(id)).status, 200, id);
    assert.equal((await page.call('console-icon')).status, 204);
    assert.equal((await page.call('console-place', { params: { kind: 'pull' }, body: { stream: 'live/demo' } })).status, 200);
    assert.equal((await page.call('console-place', { params: { kind: 'pull' }, body: {} })).status, 400);
    assert.equal((await page.call('console-place', { params: { kind: 'steal' }, body: { stream: 'live/demo' } })).status, 404);
    assert.equal((await page.call('console-topology', { headers: { 'sec-fetch-site': 'cross-site' } })).status, 403);
    for (const opsUrl of [servers.control.opsUrl, servers.operator.opsUrl, one.opsUrl])
      for (const id of ['metrics', 'alive', 'ready']) {
        const answer = await (opsUrl === one.opsUrl ? ops : new HttpContract(opsService, opsUrl)).call(id);
        assert.equal(answer.status, 200, `${opsUrl} ${id}`);
      }
  });

  test('every operation succeeded at least once', (t) => {
    for (const contract of [control, node, page, ops]) {
      const missing = contract.operations.filter(({ id, answers }) => {
        const granted = Object.keys(answers).filter((status) => Number(status) < 400);
        return !granted.some((status) => contract.seen.has(`${id} ${status}`));
      });
      const patched = new Set(['whep-patch', 'short-answer']); // by the tests of signalling, with clients that can
      assert.deepEqual(
        missing.map(({ id }) => id).filter((id) => !patched.has(id)),
        [],
      );
      t.diagnostic(`documented, not seen here: ${contract.documented.filter((each) => !contract.seen.has(each)).join(', ')}`);
    }
  });

  test('the examples of the page work as printed', async () => {
    const text = await readFile(new URL('../docs/reference/http-api.md', import.meta.url), 'utf8');
    const folder = await mkdtemp(join(tmpdir(), 'millrace-examples-'));
    const env: Record<string, string> = {
      CONTROL: servers.control.url,
      APP_KEY,
      CONSOLE: servers.console.url,
      NODE: one.url,
      OPS: one.opsUrl,
    };
    const left = new Map(
      [control, node, page, ops].flatMap(({ operations }) =>
        operations.flatMap(({ id, example }) => (example ? [[id, example]] : [])),
      ),
    );
    const run = async (id: string): Promise<string> => {
      const example = left.get(id)!;
      left.delete(id);
      assert.ok(text.includes(`\`\`\`sh\n${example}\n\`\`\``), `${id} is on the page`);
      const options = { cwd: folder, env: { ...process.env, ...env } };
      const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', example], options);
      const location = /^location: (\S+)/im.exec(stdout)?.[1];
      if (location) env['SESSION_URL'] = new URL(location, `${one.url}/whip/live/demo`).href.replace('/whip/', `/${id}/`);
      env['SESSION'] = /"session":"([^"]+)"/.exec(stdout)?.[1] ?? env['SESSION'] ?? '';
      return stdout;
    };
    await publisher.close();
    await eventually('the name is free', async () =>
      (await control.call('stream', { token: APP_KEY, params: { app: 'live', name: 'demo' } })).status === 404 ? true : undefined,
    );
    env['TOKEN'] = await token('push', 'live/demo');
    await writeFile(join(folder, 'offer.sdp'), OBS);
    for (const id of ['whip', 'whip-session', 'whip-events', 'whip-delete', 'short-push']) await run(id);
    await node.call('short-stop', { body: { session: env['SESSION'] } });
    for (const id of ['rtp-push', 'rtp-session', 'rtp-delete']) await run(id);
    const again = await newPublisher();
    const created = await whip('live/demo', { body: again.offer });
    await again.accept(created.text);
    const player = await newPlayer();
    await writeFile(join(folder, 'offer.sdp'), player.offer);
    env['TOKEN'] = await token('pull', 'live/demo');
    assert.match(await run('whep'), /v=0/);
    for (const id of [
      'whep-session',
      'whep-events',
      'layers',
      'prefer-layers',
      'whep-delete',
      'short-pull',
      'rtp-pull',
      'stream',
    ])
      await run(id);
    for (const id of [...left.keys()]) await run(id);
    await player.close();
    await again.close();
    await rm(folder, { recursive: true });
  });

  test('a node that does not have the role redirects its clients to another, or says when to retry', async () => {
    const two = await servers.addNode('two', { roles: ['pull', 'relay'] });
    const other = new HttpContract(mediaNodeService, two.url);
    const push = await token('push', 'live/elsewhere');
    const led = await other.call('whip', { params: { app: 'live', name: 'elsewhere' }, token: push, body: OBS });
    assert.equal(led.status, 307);
    assert.ok(led.headers.get('location')!.startsWith(`${one.url}/whip/live/elsewhere?access_token=`));
    await servers.network.client.delete(mediaNodes, { namespace: 'millrace', name: 'one' });
    await eventually('nobody takes it', async () => {
      const refused = await other.call('whip', { params: { app: 'live', name: 'elsewhere' }, token: push, body: OBS });
      return refused.status === 503 ? true : undefined;
    });
  });
});
