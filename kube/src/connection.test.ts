import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { KubeConfig } from '@kubernetes/client-node';
import { FakeClock } from '@millrace/testkit';
import { createKubeClient } from './client.ts';
import { ClusterConnection } from './connection.ts';
import { kubeconfigFor, loadKubeconfig } from './kubeconfig.ts';
import { namespaces } from './resources.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'millrace-kube-'));
after(() => {
  rmSync(folder, { recursive: true });
});

function write(name: string, text: string): string {
  writeFileSync(path.join(folder, name), text);
  return name;
}

function kubeconfigWith(user: string): KubeConfig {
  write('ca.crt', 'the authority');
  const file = write(
    'kubeconfig',
    `{ apiVersion: v1, kind: Config, current-context: here,
       contexts: [{ name: here, context: { cluster: c, user: u, namespace: media } }],
       clusters: [{ name: c, cluster: { server: 'https://api.example:6443/base/', certificate-authority: ca.crt, tls-server-name: kubernetes } }],
       users: [{ name: u, user: ${user} }] }`,
  );
  return loadKubeconfig({ file: path.join(folder, file) });
}

const tlsOf = (agent: http.Agent): { ca: string; cert: string; servername?: string } => {
  const { ca, cert, servername } = (agent as https.Agent).options;
  return { ca: String(ca), cert: String(cert), ...(servername ? { servername } : {}) };
};

describe('connection', () => {
  test('uses the address, CA, client certificate and server name of the kubeconfig', async () => {
    write('me.crt', 'my certificate');
    write('me.key', 'my secret');
    const connection = new ClusterConnection(
      kubeconfigWith('{ client-certificate: me.crt, client-key: me.key }'),
      new FakeClock(),
    );
    const { baseUrl, headers, agent } = await connection.current();
    assert.equal(baseUrl.href, 'https://api.example:6443/base');
    assert.deepEqual(headers, {});
    assert.ok(agent instanceof https.Agent);
    assert.deepEqual(tlsOf(agent), { ca: 'the authority', cert: 'my certificate', servername: 'kubernetes' });
    connection.close();
  });

  test('keeps one agent until the certificates on disk change', async () => {
    const clock = new FakeClock();
    write('me.crt', 'first');
    write('me.key', 'my secret');
    const connection = new ClusterConnection(kubeconfigWith('{ client-certificate: me.crt, client-key: me.key }'), clock);
    const { agent } = await connection.current();
    clock.advance(60_000);
    assert.equal((await connection.current()).agent, agent);
    write('me.crt', 'second');
    clock.advance(60_000);
    const renewed = (await connection.current()).agent;
    assert.equal(tlsOf(renewed).cert, 'second');
    connection.close();
  });

  test('sends the token in the header, without the trailing line feed of its file', async () => {
    const connection = new ClusterConnection(kubeconfigWith(`{ token: "tell-nobody\\n" }`), new FakeClock());
    assert.deepEqual((await connection.current()).headers, { Authorization: 'Bearer tell-nobody' });
  });

  test('a user name and password become basic authentication', async () => {
    const connection = new ClusterConnection(kubeconfigWith('{ username: me, password: pass }'), new FakeClock());
    assert.deepEqual((await connection.current()).headers, {
      Authorization: `Basic ${Buffer.from('me:pass').toString('base64')}`,
    });
  });

  test('uses the CA even if the context has no user', async () => {
    const kubeconfig = new KubeConfig();
    kubeconfig.loadFromOptions({
      currentContext: 'x',
      contexts: [{ name: 'x', cluster: 'c', user: '' }],
      clusters: [{ name: 'c', server: 'https://api.example', caData: Buffer.from('the authority').toString('base64') }],
      users: [],
    });
    const { agent } = await new ClusterConnection(kubeconfig, new FakeClock()).current();
    assert.equal(tlsOf(agent).ca, 'the authority');
  });

  test('a missing file fails the request, and is read again for the next one', async () => {
    const connection = new ClusterConnection(
      kubeconfigWith('{ client-certificate: late.crt, client-key: me.key }'),
      new FakeClock(),
    );
    await assert.rejects(connection.current(), /late\.crt/);
    write('late.crt', 'now here');
    assert.equal(tlsOf((await connection.current()).agent).cert, 'now here');
  });

  test('a credential plugin that blocks does not outlast the request timeout', async () => {
    const sleeper =
      '{ exec: { apiVersion: client.authentication.k8s.io/v1, command: sleep, args: ["2"], interactiveMode: Never } }';
    const client = createKubeClient({ kubeconfig: kubeconfigWith(sleeper) });
    await assert.rejects(client.get(namespaces, { name: 'x' }, { timeoutMs: 50 }), { reason: 'Timeout' });
    client.close();
  });

  test('the error for an unknown context names it and the known contexts', () => {
    kubeconfigWith('{}');
    assert.throws(
      () => loadKubeconfig({ file: path.join(folder, 'kubeconfig'), context: 'there' }),
      /"there" .* known contexts: here/,
    );
  });

  test('kubeconfigFor needs only an address', () => {
    assert.equal(kubeconfigFor('http://127.0.0.1:1').getCurrentCluster()?.server, 'http://127.0.0.1:1');
  });
});
