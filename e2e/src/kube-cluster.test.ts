import assert from 'node:assert/strict';
import { access, readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { startKubeCluster, type KubeCluster } from './kube-cluster.ts';

describe('a real Kubernetes API', () => {
  let cluster: KubeCluster;
  before(async () => {
    cluster = await startKubeCluster();
  });
  after(() => cluster.stop());

  test('is the pinned release and accepts the four CRDs', async () => {
    const { serverVersion } = JSON.parse(await cluster.kubectl('version', '-o', 'json')) as {
      serverVersion: { gitVersion: string };
    };
    const module = await readFile(new URL('../kubernetes/go.mod', import.meta.url), 'utf8');
    assert.ok(module.split(/\s+/).join(' ').includes(`k8s.io/kubernetes ${serverVersion.gitVersion} `), serverVersion.gitVersion);
    await cluster.kubectl('apply', '--server-side', '-f', 'crds/');
    await cluster.kubectl('wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all');
    assert.match(
      await cluster.kubectl('api-resources', '--api-group=millrace.dev', '-o', 'name'),
      /mediaedges.*medianodes.*relaymeshes.*streamroutes/s,
    );
  });

  test('enforces RBAC: a service account without a role may not read pods', async () => {
    await cluster.kubectl('create', 'serviceaccount', 'nobody');
    const refused = cluster.kubectl('get', 'pods', '--as=system:serviceaccount:default:nobody');
    await assert.rejects(refused, /cannot list resource "pods"/);
  });

  test('issues and reviews tokens for an audience', async () => {
    const token = (await cluster.kubectl('create', 'token', 'default', '--audience=millrace-control')).trim();
    const review = async (audience: string): Promise<boolean | undefined> => {
      const object = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: [audience] } };
      const answer = await cluster.kubectlWithInput(JSON.stringify(object), 'create', '-f', '-', '-o', 'json');
      return (JSON.parse(answer) as { status: { authenticated?: boolean } }).status.authenticated;
    };
    assert.equal(await review('millrace-control'), true);
    assert.notEqual(await review('someone-else'), true);
  });

  test('garbage-collects the dependents of a deleted owner', async () => {
    await cluster.kubectl('create', 'configmap', 'owner');
    const uid = await cluster.kubectl('get', 'configmap', 'owner', '-o', 'jsonpath={.metadata.uid}');
    const owned = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'owned', ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid }] },
    };
    await cluster.kubectlWithInput(JSON.stringify(owned), 'create', '-f', '-');
    await cluster.kubectl('delete', 'configmap', 'owner');
    await cluster.kubectl('wait', '--for=delete', '--timeout=60s', 'configmap/owned');
  });

  test('keeps its objects across a crash of the API server', async () => {
    await cluster.kubectl('create', 'configmap', 'kept');
    await cluster.killApiServer();
    await assert.rejects(cluster.kubectl('get', 'configmap', 'kept', '--request-timeout=2s'));
    await cluster.startApiServer();
    assert.match(await cluster.kubectl('get', 'configmap', 'kept', '-o', 'name'), /configmap\/kept/);
  });
});

test('stop leaves neither process nor folder, and a program that cannot start is named', async () => {
  const cluster = await startKubeCluster({ controllerManager: false });
  await cluster.stop();
  await assert.rejects(access(cluster.folder), /ENOENT/);
  await assert.rejects(startKubeCluster({ apiServerFlags: ['--no-such-flag'] }), /kube-apiserver ended with 1:.*no-such-flag/s);
});
