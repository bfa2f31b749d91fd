import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import tls from 'node:tls';
import express from 'express';
import { FakeClock } from '@millrace/testkit';
import {
  AddressRate,
  certificateMetrics,
  createLogger,
  identifyClient,
  jsonBody,
  limitRequests,
  notFoundHandler,
  openEventStream,
  problemHandler,
  realClock,
  Registry,
  serveHttp,
  ServingCertificate,
  trusts,
  type HttpRefusal,
  type HttpService,
  type ListenOptions,
} from './index.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const services: HttpService[] = [];
const refused: HttpRefusal[] = [];
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
  refused.length = 0;
});

async function serve(app: express.Express, options: Partial<ListenOptions> = {}): Promise<HttpService> {
  app.use(notFoundHandler, problemHandler(logger));
  const service = await serveHttp(app, {
    host: '127.0.0.1',
    port: 0,
    onRefused: (reason) => refused.push(reason),
    ...options,
  });
  services.push(service);
  return service;
}

/** Runs `write` on a connection and returns everything received until the server closed it. */
function talk(port: number, write: (socket: net.Socket) => void): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = net.connect(port, '127.0.0.1', () => write(socket));
    socket.on('data', (data) => (text += data.toString()));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
}

function problemOf(answer: string): { status: number; title: string; detail: string } {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  assert.match(head, /application\/problem\+json/i, answer);
  return JSON.parse(body) as { status: number; title: string; detail: string };
}

const echo = (): express.Express =>
  express().post(
    '/',
    jsonBody(1000, () => undefined),
    (req: express.Request, res: express.Response) => void res.json(req.body),
  );

describe('a slow client', () => {
  const limits = { headersWithinMs: 200, requestWithinMs: 400 };

  test('that does not end its headers is answered 408', async () => {
    const { port } = await serve(echo(), { limits });
    const answer = problemOf(await talk(port, (socket) => socket.write('POST / HTTP/1.1\r\nhost: a\r\nx-slow: ')));
    assert.deepEqual([answer.status, refused], [408, ['timeout']]);
    assert.match(answer.detail, /headers within 0.2 s/);
  });

  test('that does not end its body is answered 408', async () => {
    const { port } = await serve(echo(), { limits });
    const head = 'POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"a":';
    const answer = problemOf(await talk(port, (socket) => socket.write(head)));
    assert.deepEqual([answer.status, refused], [408, ['timeout']]);
  });

  test('that says nothing at all loses its connection', async () => {
    const { port } = await serve(echo(), { limits });
    await talk(port, () => undefined);
  });

  test('that does not read its answer loses its connection', async () => {
    const app = express().get('/', (_req, res) => void res.send(Buffer.alloc(40_000_000)));
    const { port } = await serve(app, { limits: { stalledMs: 200 } });
    const socket = net.connect(port, '127.0.0.1');
    socket.pause();
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    const sockets = (): Promise<number> =>
      new Promise((resolve, reject) =>
        services[0]!.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      );
    while ((await sockets()) === 0) await new Promise(setImmediate);
    while ((await sockets()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    socket.destroy();
  });
});

describe('malformed HTTP', () => {
  const cases: [string, string | Buffer, number, HttpRefusal][] = [
    ['binary', Buffer.from([0x16, 3, 1, 0, 0xff, 0, 1, 2, 3, 0, 0, 0]), 400, 'malformed'],
    ['a method of its own', 'SHOUT / HTTP/1.1\r\n\r\n', 400, 'malformed'],
    ['two lengths', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab', 400, 'malformed'],
    [
      'a length and chunks',
      'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'malformed',
    ],
    ['a header of 20 KiB', `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431, 'headers-too-large'],
    ['a path of 20 KiB', `GET /${'y'.repeat(20_000)} HTTP/1.1\r\nhost: a\r\n\r\n`, 431, 'headers-too-large'],
  ];
  for (const [what, bytes, status, reason] of cases) {
    test(`${what} is answered ${status}`, async () => {
      const { port } = await serve(echo());
      const answer = problemOf(await talk(port, (socket) => socket.write(bytes)));
      assert.deepEqual([answer.status, refused], [status, [reason]]);
      assert.ok(answer.detail.length > 10);
    });
  }

  test('a request without Host is refused', async () => {
    const { port } = await serve(echo());
    assert.match(await talk(port, (socket) => socket.write('GET / HTTP/1.1\r\n\r\n')), /^HTTP\/1\.1 400/);
  });
});

describe('connections', () => {
  test('beyond those of one address are closed at once, and counted', async () => {
    const { port } = await serve(echo(), { limits: { connectionsPerAddress: 3 } });
    const sockets = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const socket = net.connect(port, '127.0.0.1');
        await new Promise((resolve) => socket.once('connect', resolve));
        return socket;
      }),
    );
    await talk(port, () => undefined);
    assert.deepEqual(refused, ['address-connections']);
    sockets[0]!.destroy();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.match(
      await talk(port, (socket) => socket.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')),
      /^HTTP\/1\.1 404/,
    );
    for (const socket of sockets) socket.destroy();
  });

  test('of a trusted proxy count only against the total', async () => {
    const limits = { connectionsPerAddress: 1, connections: 2 };
    const { port } = await serve(echo(), { limits, isTrusted: trusts(['127.0.0.0/8']) });
    const sockets = await Promise.all(
      [1, 2].map(async () => {
        const socket = net.connect(port, '127.0.0.1');
        await new Promise((resolve) => socket.once('connect', resolve));
        return socket;
      }),
    );
    await talk(port, () => undefined);
    assert.deepEqual(refused, ['connections']);
    for (const socket of sockets) socket.destroy();
  });
});

describe('a JSON body', () => {
  async function post(body: string, headers: Record<string, string>): Promise<{ status: number; text: string }> {
    const { url } = await serve(echo());
    const response = await fetch(url, { method: 'POST', body, headers });
    if (response.status >= 400) assert.match(response.headers.get('content-type')!, /problem\+json/);
    return { status: response.status, text: await response.text() };
  }
  const json = { 'content-type': 'application/json' };

  test('of another type is 415, too large 413 with the bound, no JSON 400 without a word of it, compressed 415', async () => {
    const other = await post('{}', { 'content-type': 'text/plain' });
    assert.equal(other.status, 415);
    assert.match(other.text, /application\/json/);
    const large = await post(JSON.stringify({ a: 'x'.repeat(2000) }), json);
    assert.equal(large.status, 413);
    assert.match(large.text, /at most 1000 bytes/);
    const broken = await post('{"token":hunter2}', json);
    assert.equal(broken.status, 400);
    assert.match(broken.text, /no JSON object/);
    assert.doesNotMatch(broken.text, /hunter2/);
    assert.equal((await post('{}', { ...json, 'content-encoding': 'gzip' })).status, 415);
    for (const text of ['"text"', '1', 'null']) assert.equal((await post(text, json)).status, 400, text);
  });

  test('is read as UTF-8, whatever case its type has and whatever parameters follow', async () => {
    for (const type of [
      'Application/JSON',
      'application/json;charset=utf8',
      'application/json; charset="UTF-8"',
      'application/json ; x',
    ])
      assert.deepEqual(await post('{"a":"é"}', { 'content-type': type }), { status: 200, text: '{"a":"é"}' }, type);
  });

  test('that is missing is an empty object', async () => {
    assert.deepEqual(await post('', {}), { status: 200, text: '{}' });
  });
});

describe('requests of one address', () => {
  test('beyond its rate are answered 429 with Retry-After; X-Forwarded-For counts only from a trusted proxy', async () => {
    const clock = new FakeClock();
    for (const [trusted, statuses] of [
      [[], [404, 404, 429, 429]],
      [['127.0.0.1'], [404, 404, 404, 404]],
    ] as const) {
      const app = express();
      app.use(identifyClient(trusts(trusted)));
      app.use(limitRequests(new AddressRate({ perSecond: 1, burst: 2, clock }), (reason) => refused.push(reason)));
      const { url } = await serve(app);
      const answers = [];
      for (let i = 0; i < 4; i++) answers.push(await fetch(url, { headers: { 'x-forwarded-for': `192.0.2.${i}` } }));
      assert.deepEqual(
        answers.map(({ status }) => status),
        statuses,
      );
      const last = answers[3]!;
      if (last.status === 429) assert.equal(last.headers.get('retry-after'), '1');
    }
    assert.deepEqual(refused, ['rate', 'rate']);
  });
});

describe('bytes of one address', () => {
  async function limited(options: {
    perSecond: number;
    burst: number;
    answerBytes?: number;
    clock?: FakeClock;
  }): Promise<HttpService> {
    const { answerBytes = 0, clock = new FakeClock(), ...bounds } = options;
    const app = express();
    app.use(
      identifyClient(trusts([])),
      limitRequests(new AddressRate({ ...bounds, clock }), (reason) => refused.push(reason)),
    );
    app.post(
      '/',
      jsonBody(1_000_000, () => undefined),
      (_req, res) => void res.end(),
    );
    app.get('/', (_req, res) => void res.end(Buffer.alloc(answerBytes)));
    app.get('/events', (req, res) => {
      openEventStream(req, res);
      res.write(Buffer.alloc(answerBytes));
    });
    return serve(app);
  }
  const body = JSON.stringify('x'.repeat(128 * 1024 - 2)).replace(/^(.*)$/, '[$1]');
  const post = (url: string, init: RequestInit = {}): Promise<Response> =>
    fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body, ...init });

  test('count as requests before a large body is read, and the refusal says so', async () => {
    const { url } = await limited({ perSecond: 1, burst: 20 });
    const answers = await Promise.all([1, 2, 3, 4].map(() => post(url)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 429, 429]);
    const refusal = answers.find(({ status }) => status === 429)!;
    assert.match(await refusal.text(), /at most 1 requests \(each 16384 bytes of one and its answer count as one\) a second/);
    assert.equal(refusal.headers.get('retry-after'), '5');
    assert.deepEqual(refused, ['rate', 'rate']);
  });

  test('count where a body comes in chunks, whose size nobody announces', async () => {
    const { url } = await limited({ perSecond: 1, burst: 20 });
    const chunks = (): ReadableStream => new Blob([body]).stream();
    const statuses = [];
    for (let i = 0; i < 4; i++) statuses.push((await post(url, { body: chunks(), duplex: 'half' } as RequestInit)).status);
    assert.deepEqual(statuses, [200, 200, 200, 429]);
  });

  test('count where the answer is large, and the bucket is in debt for no longer than it takes to fill', async () => {
    const clock = new FakeClock();
    const { url } = await limited({ perSecond: 10, burst: 20, answerBytes: 3_000_000, clock });
    const get = async (): Promise<string> => {
      const response = await fetch(url);
      await response.arrayBuffer();
      return `${response.status} ${response.headers.get('retry-after')}`;
    };
    assert.equal(await get(), '200 null');
    assert.equal(await get(), '429 3');
    clock.advance(2200);
    assert.equal(await get(), '200 null');
  });

  test('of an event stream count for what is more than its time has paid for', async () => {
    const clock = new FakeClock();
    const { url } = await limited({ perSecond: 10, burst: 20, answerBytes: 3_000_000, clock });
    const listen = async (ms: number): Promise<number> => {
      const stop = new AbortController();
      const response = await fetch(`${url}/events`, { signal: stop.signal });
      if (response.ok) await response.body!.getReader().read();
      clock.advance(ms);
      stop.abort();
      await new Promise((resolve) => setTimeout(resolve, 50));
      return response.status;
    };
    assert.equal(await listen(30_000), 200);
    assert.equal(await listen(0), 200);
    assert.equal(await listen(0), 429);
  });
});

describe('over TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'));
  after(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  execFileSync('openssl', ['req', '-x509', ...curve, '-nodes', '-days', '1', '-keyout', key, '-out', cert, ...subject], {
    stdio: 'ignore',
  });
  const identity = { key: readFileSync(key), cert: readFileSync(cert) };
  const metrics = certificateMetrics(new Registry(), 'test');
  const certificate = new ServingCertificate({ metrics, clock: realClock, logger });
  certificate.offer(identity, 'the test');

  test('a request that comes before a large answer has left is read, however large it is', { timeout: 60_000 }, async () => {
    const bytes = 3_000_000;
    const app = express()
      .get('/', (_req, res) => void res.send(Buffer.alloc(bytes)))
      .post('/', (req, res) => {
        let count = 0;
        req.on('data', (part: Buffer) => (count += part.length));
        req.on('end', () => res.send(`read ${count}`));
      });
    const { port } = await serve(app, { certificate });
    const socket = tls.connect({ port, host: '127.0.0.1', ca: identity.cert });
    const requests = Buffer.concat([
      Buffer.from(`GET / HTTP/1.1\r\nhost: a\r\n\r\nPOST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${bytes}\r\n\r\n`),
      Buffer.alloc(bytes),
    ]);
    let rounds = 0;
    await new Promise<void>((resolve, reject) => {
      socket.on('data', (data) => {
        if (!data.toString('latin1').includes(`read ${bytes}`)) return;
        if (++rounds === 5) resolve();
        else socket.write(requests);
      });
      socket.on('error', reject);
      socket.on('close', () => reject(new Error(`closed in round ${rounds}`)));
      socket.write(requests);
    });
    socket.destroy();
    assert.deepEqual(refused, []);
  });

  test('a handshake that does not go on ends the connection, and what is no TLS is counted', async () => {
    const { port } = await serve(echo(), { certificate, limits: { tlsHandshakeWithinMs: 100 } });
    await talk(port, () => undefined);
    await talk(port, (socket) => socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n'));
    assert.deepEqual(refused, ['tls', 'tls']);
    const socket = tls.connect({ port, host: '127.0.0.1', ca: identity.cert });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    socket.destroy();
  });
});
