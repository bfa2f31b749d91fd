import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { CONTROL_TLS_SECRET } from '@millrace/api';
import { configMaps, loadKubeconfig, secrets, type Secret } from '@millrace/kube';
import { startOperator } from '@millrace/operator';
import type { Control } from '@millrace/control';
import { createLogger, createMetrics } from '@millrace/service';
import { createAuthority, issueServerCertificate, type KeyPair } from '@millrace/service/certificates';
import { ControlNetwork, eventually, NAMESPACE } from './control-network.ts';

const DAY_MS = 86_400_000;
const validity = { fromMs: Date.now() - DAY_MS, toMs: Date.now() + 90 * DAY_MS };
const newAuthority = (): Promise<KeyPair> => createAuthority({ commonName: 'control-ca', ...validity });
const issueFrom = (authority: KeyPair): Promise<KeyPair> =>
  issueServerCertificate(authority, { commonName: 'control', names: ['127.0.0.1'], ...validity });

describe('a control with a certificate', () => {
  let network: ControlNetwork;
  let authority: KeyPair;
  let caFile: string;
  before(async () => {
    network = await ControlNetwork.start();
    authority = await newAuthority();
    caFile = join(network.folder, 'ca.crt');
    await writeFile(caFile, authority.cert);
  });
  after(() => network.stop());

  const secretOf = ({ cert, key }: KeyPair): Secret => ({
    metadata: { namespace: NAMESPACE, name: 'control-certificate' },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': Buffer.from(cert).toString('base64'), 'tls.key': Buffer.from(key).toString('base64') },
  });

  test('from files serves nodes that trust its CA by wss://, and is not believed by others', async () => {
    const folder = join(network.folder, 'tls');
    await mkdir(folder);
    const { cert, key } = await issueFrom(authority);
    await Promise.all([writeFile(join(folder, 'tls.key'), key), writeFile(join(folder, 'tls.crt'), cert)]);
    const control = await network.control({ tls: { folder } });
    assert.match(control.agentUrl, /^wss:/);
    const channel = await (await network.node('trusts')).connect([control.agentUrl], { caFile });
    assert.equal(channel.state, 'connected');

    const node = await network.node('doubts');
    const doubting = node.channel([control.agentUrl]);
    await doubting.start();
    await eventually(() => Promise.resolve(doubting.state === 'disconnected'), 'the refusal');
    await doubting.stop();
  });

  test('from a Secret is ready once that exists, and changes it without ending a connection', async () => {
    const registry = createMetrics({ service: 'control' });
    const control = await network.control({ tls: { secret: 'control-certificate' }, opsPort: 0, registry });
    assert.match(await notReady(control), /Secret control-certificate holds no certificate that can be used yet: create it/);
    await network.client.create(secrets, secretOf(await issueFrom(authority)));
    await eventually(async () => (await fetch(`${control.opsUrl}/readyz`)).ok, 'control is ready');

    const node = await network.node('stays');
    const channel = await node.connect([control.agentUrl], { caFile });
    let changes = 0;
    channel.on('state', () => changes++);

    // The next authority comes into the CA file beside the present one before control shows a certificate that it signed.
    const next = await newAuthority();
    await writeFile(caFile, authority.cert + next.cert);
    await network.client.update(secrets, secretOf(await issueFrom(next)));
    await eventually(() => verifies(control, next), 'the new certificate is served');
    await (await network.node('comes-later')).connect([control.agentUrl], { caFile });
    assert.equal(channel.state, 'connected');
    assert.equal(changes, 0);

    // What cannot be used changes nothing.
    await network.client.update(secrets, {
      ...secretOf(await issueFrom(next)),
      data: { 'tls.crt': 'bm90aGluZw==', 'tls.key': 'bm90aGluZw==' },
    });
    const refusals = registry.getSingleMetric('millrace_http_certificate_refusals_total')!;
    await eventually(async () => (await refusals.get()).values[0]?.value === 1, 'the refusal is counted');
    await network.client.delete(secrets, { namespace: NAMESPACE, name: 'control-certificate' });
    const again = await (await network.node('again')).connect([control.agentUrl], { caFile });
    assert.equal(again.state, 'connected');
  });

  test('kept by the operator serves nodes that mount its ConfigMap, with nothing to set up', async () => {
    const control = await network.control({ tls: { secret: CONTROL_TLS_SECRET }, opsPort: 0 });
    assert.match(
      await notReady(control),
      /Secret millrace-control-tls holds no certificate that can be used yet: the operator creates it/,
    );
    const operator = await startOperator({
      kubeconfig: loadKubeconfig({ file: join(network.folder, 'kubeconfig') }),
      namespace: NAMESPACE,
      leaseNamespace: NAMESPACE,
      controlUrl: control.agentUrl,
      logger: createLogger({ service: 'operator', level: 'silent' }),
    });
    try {
      await eventually(async () => (await fetch(`${control.opsUrl}/readyz`)).ok, 'control is ready');
      const map = await network.client.get(configMaps, { namespace: NAMESPACE, name: 'millrace-control-ca' });
      const mounted = join(network.folder, 'mounted.crt');
      await writeFile(mounted, map.data!['ca.crt']!);
      const channel = await (await network.node('mounts')).connect([control.agentUrl], { caFile: mounted });
      assert.equal(channel.state, 'connected');
    } finally {
      await operator.stop();
    }
  });

  /** Whether control shows a certificate of this authority. */
  function verifies({ url }: Control, { cert: ca }: KeyPair): Promise<boolean> {
    const socket = tls.connect({ host: '127.0.0.1', port: Number(new URL(url).port), ca });
    return new Promise<boolean>((resolve) =>
      socket.once('secureConnect', () => resolve(true)).once('error', () => resolve(false)),
    ).finally(() => socket.destroy());
  }

  async function notReady({ opsUrl }: Control): Promise<string> {
    const answer = await fetch(`${opsUrl}/readyz`);
    assert.equal(answer.status, 503);
    return answer.text();
  }
});
