import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { FakeClock, quietLogger } from '@millrace/testkit';
import { createAuthority, issueServerCertificate, type KeyPair } from '../certificates/index.ts';
import { serveHttp, type HttpService } from '../http-service.ts';
import { Registry } from '../metrics.ts';
import { CertificateFiles, certificateMetrics, ServingCertificate } from './index.ts';

const DAY_MS = 86_400_000;
const NOW_MS = Date.now();

let ca: KeyPair;
const services: HttpService[] = [];
before(async () => {
  ca = await createAuthority({ commonName: 'ca', fromMs: NOW_MS - DAY_MS, toMs: NOW_MS + 365 * DAY_MS });
});
afterEach(() => Promise.all(services.splice(0).map((service) => service.close())));

const issue = (commonName: string, days: number): Promise<KeyPair> =>
  issueServerCertificate(ca, { commonName, names: ['127.0.0.1'], fromMs: NOW_MS - DAY_MS, toMs: NOW_MS + days * DAY_MS });

function start() {
  const registry = new Registry();
  const clock = new FakeClock(NOW_MS);
  const { logger, lines } = quietLogger();
  const certificate = new ServingCertificate({ metrics: certificateMetrics(registry, 'test'), clock, logger });
  const value = async (name: string): Promise<number | undefined> =>
    (await registry.getSingleMetric(name)!.get()).values[0]?.value;
  return { certificate, clock, lines, value };
}

async function listen(certificate: ServingCertificate): Promise<number> {
  const service = await serveHttp((_request, response) => response.end('here'), { host: '127.0.0.1', port: 0, certificate });
  services.push(service);
  return service.port;
}

/** Connects and returns the subject of the server's certificate, and a request on that connection. */
async function connect(port: number): Promise<{ subject: string; ask: () => Promise<string>; end: () => void }> {
  const socket = tls.connect({ port, host: '127.0.0.1', ca: ca.cert });
  await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  const ask = (): Promise<string> =>
    new Promise((resolve, reject) => {
      socket.once('data', (data) => resolve(data.toString())).once('error', reject);
      socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    });
  return { subject: String(socket.getPeerCertificate().subject.CN), ask, end: () => socket.destroy() };
}

describe('the certificate of a listener', () => {
  test('is replaced for new connections, while those that are open go on', async () => {
    const { certificate, value } = start();
    certificate.offer(await issue('first', 90), 'test');
    const port = await listen(certificate);
    const open = await connect(port);
    assert.equal(open.subject, 'first');
    assert.equal(certificate.offer(await issue('second', 91), 'test'), undefined);
    const later = await connect(port);
    assert.equal(later.subject, 'second');
    assert.match(await open.ask(), /^HTTP\/1\.1 200/);
    assert.equal(await value('millrace_http_certificate_expiry_timestamp_seconds'), Math.floor(NOW_MS / 1000) + 91 * 86_400);
    for (const one of [open, later]) one.end();
  });

  test('may come after the listener: handshakes fail until then', async () => {
    const { certificate } = start();
    const port = await listen(certificate);
    assert.equal(certificate.isThere, false);
    await assert.rejects(connect(port));
    certificate.offer(await issue('late', 90), 'test');
    const one = await connect(port);
    assert.equal(one.subject, 'late');
    one.end();
  });

  test('stays when what is offered cannot be used; a metric counts it and the log says why once', async () => {
    const { certificate, lines, value } = start();
    const [good, other] = [await issue('good', 90), await issue('other', 90)];
    const port = await listen(certificate);
    certificate.offer(good, 'test');
    const bad = { cert: other.cert, key: good.key };
    assert.match(certificate.offer(bad, 'test')!, /tls\.key is not the key/);
    assert.match(certificate.offer(bad, 'test')!, /tls\.key is not the key/);
    assert.match(certificate.offer({ cert: 'nothing', key: good.key }, 'test')!, /tls\.crt holds no certificate/);
    assert.match(certificate.offer({ cert: good.cert, key: '' }, 'test')!, /tls\.key holds no private key/);
    assert.match(
      certificate.offer(await issue('old', -0.5), 'test')!,
      /^the certificate ended at .* the one in use lasts longer$/,
    );
    const refusals = lines.filter(({ msg }) => msg === 'certificate refused; the last good one stays in use');
    assert.equal(refusals.length, 4);
    assert.equal(await value('millrace_http_certificate_refusals_total'), 4);
    const one = await connect(port);
    assert.equal(one.subject, 'good');
    one.end();
  });

  test('is warned of when a fifth of its life is left, and when it has ended', async () => {
    const { certificate, clock, lines } = start();
    certificate.offer(await issue('short', 9), 'test'); // of 10 days, 9 are left
    const said = (): string[] => lines.filter(({ level }) => level === 'warn' || level === 'error').map(({ msg }) => msg);
    clock.advance(6 * DAY_MS);
    assert.deepEqual(said(), []);
    clock.advance(1.5 * DAY_MS);
    assert.match(said()[0]!, /ends soon and was not renewed/);
    clock.advance(2 * DAY_MS);
    assert.match(said().at(-1)!, /has ended/);
    certificate.stop();
    assert.equal(clock.pendingTimers, 0);
  });
});

describe('certificate files', () => {
  let folder: string;
  before(async () => (folder = await mkdtemp(join(tmpdir(), 'millrace-tls-'))));
  after(() => rm(folder, { recursive: true }));

  /** Writes a version of the pair and swaps the link to it, as the kubelet does. */
  async function mount(version: string, { cert, key }: KeyPair): Promise<void> {
    await mkdir(join(folder, version));
    await writeFile(join(folder, version, 'tls.crt'), cert);
    await writeFile(join(folder, version, 'tls.key'), key);
    await symlink(version, join(folder, 'next'));
    await rename(join(folder, 'next'), join(folder, 'tls'));
  }

  /** Lets file reads that a timer began come to their end. */
  async function passed(clock: FakeClock, until: () => boolean): Promise<void> {
    clock.advance(10_000);
    for (let turns = 0; !until() && turns < 10_000; turns++) await clock.settle();
    assert.ok(until());
  }

  test('are followed when the kubelet swaps them; a broken version changes nothing', async () => {
    const { certificate, clock, lines } = start();
    const [one, two] = [await issue('one', 90), await issue('two', 90)];
    await mount('v1', one);
    const files = await CertificateFiles.follow({ folder: join(folder, 'tls'), certificate, clock });
    const port = await listen(certificate);
    const used = (): number => lines.filter(({ msg }) => msg === 'certificate in use').length;
    assert.equal(used(), 1);
    await mount('v2', { cert: two.cert, key: one.key });
    await passed(clock, () => lines.some(({ msg }) => msg.startsWith('certificate refused')));
    await mount('v3', two);
    await clock.settle();
    await passed(clock, () => used() === 2);
    const connection = await connect(port);
    assert.equal(connection.subject, 'two');
    connection.end();
    files.stop();
    certificate.stop();
  });

  test('that are missing or broken at the start end it with the folder and the remedy', async () => {
    const { certificate, clock } = start();
    const missing = CertificateFiles.follow({ folder: join(folder, 'nowhere'), certificate, clock });
    await assert.rejects(missing, /^Error: MILLRACE_TLS_DIR: .*nowhere must hold tls\.crt and tls\.key: ENOENT/);
    certificate.stop();
    assert.equal(clock.pendingTimers, 0);
  });
});
