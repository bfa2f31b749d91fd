import assert from 'node:assert/strict';
import net from 'node:net';
import { afterEach, describe, test } from 'node:test';
import express from 'express';
import { z } from 'zod';
import {
  createLogger,
  createMetrics,
  notFoundHandler,
  opsRouter,
  parseRequest,
  Problem,
  problemHandler,
  serveHttp,
  type HttpService,
} from './index.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const services: HttpService[] = [];

async function serve(app: express.Express): Promise<HttpService> {
  app.use(notFoundHandler, problemHandler(logger));
  const service = await serveHttp(app, { host: '127.0.0.1', port: 0 });
  services.push(service);
  return service;
}

afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
});

describe('problems', () => {
  const app = (): express.Express =>
    express()
      .use(express.json({ limit: 100 }))
      .post('/edges', (req, res) => res.json(parseRequest(z.object({ region: z.string(), cores: z.number() }), req.body)))
      .get('/full', () => {
        throw new Problem(503, 'No capacity', {
          detail: 'all nodes drain',
          headers: { 'retry-after': '2' },
          extensions: { reasons: ['draining'] },
        });
      })
      .get('/broken', () => Promise.reject(new Error('password is hunter2')));

  async function answer(
    path: string,
    body?: string,
  ): Promise<{ status: number; type: string | null; headers: Headers; body: Record<string, unknown> }> {
    const { url } = await serve(app());
    const init = body === undefined ? {} : { method: 'POST', body, headers: { 'content-type': 'application/json' } };
    const response = await fetch(url + path, init);
    const { status, headers } = response;
    return { status, type: headers.get('content-type'), headers, body: (await response.json()) as Record<string, unknown> };
  }

  test('a thrown Problem is answered as problem+json with its headers and extensions', async () => {
    const { status, type, headers, body } = await answer('/full');
    assert.deepEqual([status, type, headers.get('retry-after')], [503, 'application/problem+json; charset=utf-8', '2']);
    assert.deepEqual(body, {
      type: 'about:blank',
      title: 'No capacity',
      status: 503,
      detail: 'all nodes drain',
      reasons: ['draining'],
    });
  });

  test('an unknown error is a 500 that reveals no internals', async () => {
    const { status, body } = await answer('/broken');
    assert.deepEqual([status, body], [500, { type: 'about:blank', title: 'Internal Server Error', status: 500 }]);
  });

  test('a wrong body is refused with every field and reason', async () => {
    const { status, body } = await answer('/edges', '{"cores":"two"}');
    assert.equal(status, 400);
    assert.deepEqual(
      (body['errors'] as { path: string }[]).map((e) => e.path),
      ['region', 'cores'],
    );
  });

  test('a body that is no JSON is 400, one too large 413, an unknown path 404, a bad escape 400', async () => {
    assert.equal((await answer('/edges', '{"cores"')).status, 400);
    assert.equal((await answer('/edges', JSON.stringify({ region: 'x'.repeat(200) }))).status, 413);
    assert.equal((await answer('/nowhere')).status, 404);
    assert.equal((await answer('/%E0%A4%A')).status, 404);
  });
});

describe('opsRouter', () => {
  test('serves metrics, liveness and readiness with its reasons', async () => {
    const registry = createMetrics({ service: 'probe' });
    const readiness = { ok: true, reasons: [] as string[] };
    const { url } = await serve(express().use(opsRouter({ registry, ready: () => readiness })));
    assert.match(await (await fetch(`${url}/metrics`)).text(), /process_cpu_seconds_total\{service="probe"\}/);
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    Object.assign(readiness, { ok: false, reasons: ['no agent channel'] });
    const response = await fetch(`${url}/readyz`);
    assert.deepEqual([response.status, await response.json()], [503, { ok: false, reasons: ['no agent channel'] }]);
  });
});

describe('serveHttp', () => {
  test('a taken port is refused with address and remedy', async () => {
    const { port } = await serve(express());
    await assert.rejects(
      serveHttp(express(), { host: '127.0.0.1', port }),
      /cannot listen on 127\.0\.0\.1:\d+: another process has it; set the port to another one/,
    );
  });

  /** A client that keeps its socket; resolves `ended` when the server has closed it. */
  async function rawClient(port: number, request: string): Promise<{ first: string; ended: Promise<void> }> {
    const socket = net.connect(port, '127.0.0.1');
    const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined);
    const first = new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString())));
    socket.write(request);
    return { first: await first, ended };
  }

  test('close ends an idle kept-alive connection at once', async () => {
    const { port, close } = await serve(express());
    const { first, ended } = await rawClient(port, 'GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\n\r\n');
    assert.match(first, /^HTTP\/1\.1 404/);
    await Promise.all([close(60_000), ended]);
  });

  test('close lets a running request end, and its kept-alive connection does not wait for the grace', async () => {
    let finish: (() => void) | undefined;
    const { port, close } = await serve(
      express().get('/slow', (_req, res) => {
        res.write('started');
        finish = () => res.end('done');
      }),
    );
    const { ended } = await rawClient(port, 'GET /slow HTTP/1.1\r\nhost: a\r\n\r\n');
    const closed = close(60_000);
    finish?.();
    await Promise.all([closed, ended]);
  });

  test('close ends an upgraded connection and a request that never ends after the grace', async () => {
    const running = await serve(express().get('/endless', (_req, res) => void res.write('started')));
    running.server.on('upgrade', (_req: unknown, socket: net.Socket) => {
      socket.on('error', () => undefined);
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n');
    });
    const upgraded = await rawClient(running.port, 'GET / HTTP/1.1\r\nhost: a\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n');
    assert.match(upgraded.first, /101/);
    const endless = await rawClient(running.port, 'GET /endless HTTP/1.1\r\nhost: a\r\n\r\n');
    await Promise.all([running.close(20), running.close(20), upgraded.ended, endless.ended]);
  });
});
