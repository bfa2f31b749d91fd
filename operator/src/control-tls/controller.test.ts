import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { afterEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { mediaEdges } from '@millrace/api';
import { EventRecorder, Informer, KubeClient, LeaseFence, TokenBucket, type ConfigMap, type Secret } from '@millrace/kube';
import { createAuthority } from '@millrace/service/certificates';
import { FakeClock, quietLogger } from '@millrace/testkit';
import { MemoryApi } from '@millrace/testkit/kube-api';
import { createControlTlsController, TrustVerdicts, type ControlTrust } from './index.ts';

const DAY_MS = 86_400_000;
const EDGE = '/apis/millrace.dev/v1alpha1/namespaces/fleet/mediaedges/edge';
const AUTHORITY = '/api/v1/namespaces/fleet/secrets/millrace-control-ca';
const SERVING = '/api/v1/namespaces/fleet/secrets/millrace-control-tls';
const TRUST = '/api/v1/namespaces/fleet/configmaps/millrace-control-ca';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function start(trust: ControlTrust = { kind: 'managed' }, controlUrl = 'wss://control.example.com:8443/v1/agent') {
  const clock = new FakeClock();
  const api = new MemoryApi({ clock });
  const { logger } = quietLogger();
  const limiter = new TokenBucket({ clock, qps: 10_000, burst: 10_000 });
  const client = new KubeClient({ transport: api, clock, timeoutMs: 1_000, limiter });
  const common = { client, clock, logger, random: () => 0.5 };
  const edges = new Informer({ ...common, resource: mediaEdges });
  const recorder = new EventRecorder({ ...common, component: 'test' });
  const verdicts = new TrustVerdicts();
  const fence = new LeaseFence(clock, Infinity);
  const controller = createControlTlsController({
    ...common,
    recorder,
    fence,
    edges,
    trust,
    controlUrl,
    controlNamespace: 'control',
    verdicts,
  });
  const stop = new AbortController();
  const running = [edges, controller].map((part) => part.run(stop.signal));
  stops.push(async () => {
    stop.abort();
    clock.advance(60_000);
    await Promise.all(running);
  });
  const text = (path: string, field: string): string => {
    const found = api.objects.get(path) as unknown as (Secret & ConfigMap) | undefined;
    const value = found?.data?.[field] ?? '';
    return path === TRUST ? value : Buffer.from(value, 'base64').toString();
  };
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (let turns = 0; turns < 100; turns++) await turn();
  };
  /** Lets time pass until something is so, five minutes at most: keys are generated in turns of the event loop that no clock counts. */
  const reach = async (what: string, isSo: () => boolean): Promise<void> => {
    for (let seconds = 0; !isSo(); seconds++) {
      assert.ok(seconds < 300, what);
      await pass(1_000);
    }
  };
  return { api, text, pass, reach, verdicts };
}

const isSignedBy = (cert: string, authority: string): boolean =>
  new X509Certificate(cert).verify(new X509Certificate(authority).publicKey);

const edge = { metadata: { name: 'edge' }, spec: { region: 'eu', roles: ['pull'] } };

describe("the controller of control's certificate", () => {
  test('makes an authority, what nodes trust and a certificate for all names: where control is, and where edges are', async () => {
    const { api, text, reach } = start();
    await reach('a certificate where control is', () => api.objects.has(SERVING.replace('fleet', 'control')));
    assert.deepEqual(
      [...api.objects.keys()].filter((path) => path.includes('/fleet/')),
      [],
    );
    api.put(EDGE, edge);
    await reach('a certificate', () => api.objects.has(SERVING));
    const authority = new X509Certificate(text(AUTHORITY, 'tls.crt'));
    assert.equal(text(TRUST, 'ca.crt'), text(AUTHORITY, 'tls.crt'));
    const serving = new X509Certificate(text(SERVING, 'tls.crt'));
    assert.ok(serving.checkIssued(authority) && serving.verify(authority.publicKey));
    for (const name of ['millrace-control', 'millrace-control.fleet.svc.cluster.local', 'control.example.com'])
      assert.equal(serving.checkHost(name), name);
    assert.ok(text(SERVING, 'tls.key').includes('PRIVATE KEY'));
    assert.equal((api.objects.get(SERVING) as unknown as Secret).type, 'kubernetes.io/tls');
  });

  test('writes nothing while nothing is due, renews the certificate when it is, and replaces one that was deleted', async () => {
    const { api, text, pass, reach } = start();
    api.put(EDGE, edge);
    await reach('a certificate', () => api.objects.has(SERVING));
    const writes = (): number => api.requests.filter(({ method }) => method !== 'GET').length;
    const [first, before] = [text(SERVING, 'tls.crt'), writes()];
    for (let minute = 0; minute < 10; minute++) await pass(60_000);
    assert.equal(writes(), before);
    await pass(61 * DAY_MS);
    await reach('a renewed certificate', () => text(SERVING, 'tls.crt') !== first);
    assert.ok(isSignedBy(text(SERVING, 'tls.crt'), text(AUTHORITY, 'tls.crt')));
    api.put(SERVING, undefined);
    await reach('another certificate', () => api.objects.has(SERVING));
  });

  test('overlaps authorities: nodes trust the next before control shows a certificate of it, and the old one until it ends', async () => {
    const { api, text, pass, reach } = start();
    api.put(EDGE, edge);
    await reach('a certificate', () => api.objects.has(SERVING));
    const [old, first] = [text(AUTHORITY, 'tls.crt'), text(SERVING, 'tls.crt')];
    await pass(2400 * DAY_MS);
    await reach('a renewed certificate', () => text(SERVING, 'tls.crt') !== first);
    const second = text(SERVING, 'tls.crt');
    await pass(34 * DAY_MS);
    await reach('another authority that nodes trust', () => text(TRUST, 'ca.crt').endsWith(old) && text(TRUST, 'ca.crt') !== old);
    const next = text(AUTHORITY, 'tls.crt');
    assert.equal(text(TRUST, 'ca.crt'), next + old);
    await pass(120_000);
    assert.equal(text(SERVING, 'tls.crt'), second);
    await pass(30 * DAY_MS);
    await reach('a certificate of the next authority', () => text(SERVING, 'tls.crt') !== second);
    assert.ok(isSignedBy(text(SERVING, 'tls.crt'), next));
    await pass(1200 * DAY_MS);
    await reach('the end of the old authority', () => text(TRUST, 'ca.crt') === next);
  });

  test('leaves objects that it did not make alone, and says so', async () => {
    const { api, reach, verdicts } = start();
    api.put(SERVING, { type: 'kubernetes.io/tls', data: { 'tls.crt': 'YQ==', 'tls.key': 'YQ==' } });
    api.put(EDGE, edge);
    await reach('a verdict', () => !verdicts.get('fleet').ok);
    assert.equal(api.objects.has(AUTHORITY), false);
    const verdict = verdicts.get('fleet');
    assert.ok(!verdict.ok);
    assert.match(
      verdict.message,
      /did not create Secret millrace-control-tls .* delete it, or start the operator with --control-certificate=own/,
    );
  });

  test('says what is missing where somebody else keeps the certificate, and when it has come', async () => {
    const { api, reach, verdicts } = start({ kind: 'own', configMap: 'corporate-ca' });
    const heard: string[] = [];
    verdicts.onChange((namespace) => void (namespace === 'fleet' && heard.push(namespace)));
    api.put(EDGE, edge);
    const said = (): string => JSON.stringify(verdicts.get('fleet'));
    await reach('it is missed', () => said().includes('ControlCaNotFound'));
    assert.match(
      said(),
      /ConfigMap corporate-ca, .* does not exist .* create it with the CA of control's certificate under ca\.crt/,
    );
    const path = '/api/v1/namespaces/fleet/configmaps/corporate-ca';
    api.put(path, { data: { 'ca.crt': 'nothing' } });
    await reach('it is empty', () => said().includes('ControlCaInvalid'));
    const { cert } = await createAuthority({ commonName: 'corporate', fromMs: 0, toMs: DAY_MS });
    api.put(path, { data: { 'ca.crt': cert } });
    await reach('all is well', () => verdicts.get('fleet').ok);
    assert.deepEqual(heard, ['fleet', 'fleet', 'fleet']);
  });

  test('shows what the API refuses, and tries again', async () => {
    const { api, reach, verdicts } = start();
    api.faults.fail = ({ path, method }) =>
      method === 'POST' && path.includes('configmaps')
        ? { code: 403, reason: 'Forbidden', message: 'configmaps is forbidden' }
        : undefined;
    api.put(EDGE, edge);
    await reach('the refusal', () => !verdicts.get('fleet').ok);
    assert.match(
      JSON.stringify(verdicts.get('fleet')),
      /ControlCertificateRefused.*deploy\/rbac\/operator\.yaml.*configmaps is forbidden/,
    );
    assert.equal(api.objects.has(SERVING), false, 'nodes could not verify it');
    api.faults.fail = undefined;
    await reach('a certificate', () => api.objects.has(SERVING) && verdicts.get('fleet').ok);
  });
});
