import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { startKubeCluster, type KubeCluster } from './src/kube-cluster.ts';
import { eventually } from './src/servers/network.ts';

const NAMESPACE = 'fleet';
const POLICIES = new URL('../deploy/policies', import.meta.url).pathname;
const DIGEST = `sha256:${'a'.repeat(64)}`;

/** deploy/policies on a real kube-apiserver, for somebody who may edit MediaEdges, and read one Secret. */
describe('the policy for MediaEdges', { timeout: 180_000 }, () => {
  let cluster: KubeCluster;
  before(async () => {
    cluster = await startKubeCluster({ controllerManager: false });
    await cluster.kubectl('apply', '-f', new URL('../crds', import.meta.url).pathname);
    await cluster.kubectl('wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all');
    await cluster.kubectl('create', 'namespace', NAMESPACE);
    const role = ['-n', NAMESPACE, 'create', 'role'];
    await cluster.kubectl(
      ...role,
      'edges',
      '--verb=get,create,patch,update',
      '--resource=mediaedges.millrace.dev,mediaedges.millrace.dev/scale',
    );
    await cluster.kubectl(...role, 'own-secret', '--verb=get', '--resource=secrets', '--resource-name=own-certificate');
    for (const name of ['edges', 'own-secret'])
      await cluster.kubectl('-n', NAMESPACE, 'create', 'rolebinding', name, `--role=${name}`, '--user=tenant');
    // One from before the policy, with what it does not allow.
    assert.equal(await apply('old', { image: 'elsewhere.example.com/old:1' }), '');
    await cluster.kubectl('apply', '-f', POLICIES);
    let tries = 0; // each another image, since an apply that changes nothing asks nobody
    await eventually('the policy is in force', async () =>
      (await apply('probe', { image: `any:${tries++}` })) === '' ? undefined : true,
    );
  });
  after(() => cluster?.stop());

  /** Applies an edge as the tenant. Returns why it was refused; empty when it was not. */
  async function apply(name: string, spec: object): Promise<string> {
    const edge = {
      apiVersion: 'millrace.dev/v1alpha1',
      kind: 'MediaEdge',
      metadata: { name, namespace: NAMESPACE },
      spec: { region: 'eu', roles: ['pull'], ...spec },
    };
    const { code, stderr } = await cluster.tryKubectl(['--as=tenant', 'apply', '-f', '-'], { input: stringify(edge) });
    return code === 0 ? '' : stderr;
  }

  test('allows an edge without an image, and images by what the ConfigMap lists', async () => {
    assert.equal(await apply('edge', {}), '');
    assert.equal(await apply('edge', { image: `registry.example.com/millrace/media-node@${DIGEST}` }), '');
  });

  test('refuses other images, also those that only begin alike, and names field and remedy', async () => {
    for (const image of [
      'docker.io/library/anything:1',
      'registry.example.com/millrace/media-node-of-mine:1',
      'registry.example.com/millrace/media-node:latest',
    ]) {
      const why = await apply('edge', { image });
      assert.ok(why.includes(`spec.image: ${image} is not among the images that this cluster allows`), why);
      assert.match(
        why,
        /\(registry\.example\.com\/millrace\/media-node@\): use one of those, leave spec\.image out .* ConfigMap media-edges/,
      );
    }
  });

  test('lets an edge name the Secrets that are listed or that its author may read, and no other', async () => {
    assert.equal(await apply('tls', { network: { tlsSecretRef: { name: 'signaling-tls-eu' } } }), '');
    assert.equal(await apply('tls', { network: { tlsSecretRef: { name: 'own-certificate' } } }), '');
    const why = await apply('tls', { network: { tlsSecretRef: { name: 'millrace-token-key' } } });
    assert.match(
      why,
      /spec\.network\.tlsSecretRef\.name: Secret millrace-token-key is neither among .* \(signaling-tls-\*\) nor one that you may read/,
    );
  });

  test('refuses environment variables that could run code', async () => {
    assert.equal(await apply('env', { template: { env: [{ name: 'MILLRACE_LOG_LEVEL', value: 'debug' }] } }), '');
    const why = await apply('env', { template: { env: [{ name: 'NODE_OPTIONS', value: '--import=data:text/javascript,' }] } });
    assert.match(why, /spec\.template\.env: this cluster does not allow NODE_OPTIONS \(allowed: MILLRACE_\*\): remove them/);
  });

  test('an edge from before may be scaled, drained and deleted, and not changed without being mended', async () => {
    const old = ['-n', NAMESPACE, 'mediaedge', 'old'];
    const patch = (fields: object): Promise<{ code: number; stderr: string }> =>
      cluster.tryKubectl(['--as=tenant', 'patch', ...old, '--type=merge', '-p', JSON.stringify(fields)]);
    assert.equal((await patch({ metadata: { finalizers: ['millrace.dev/drain'] } })).code, 0);
    assert.equal((await patch({ metadata: { finalizers: [] } })).code, 0);
    assert.equal((await cluster.tryKubectl(['--as=tenant', 'scale', ...old, '--replicas=2'])).code, 0);
    assert.match(
      (await patch({ spec: { drain: { timeoutSeconds: 60 } } })).stderr,
      /spec\.image: elsewhere\.example\.com\/old:1 is not among/,
    );
    assert.equal((await patch({ spec: { drain: { timeoutSeconds: 60 }, image: null } })).code, 0);
  });

  test('without its ConfigMap allows no change of a spec', async () => {
    await cluster.kubectl('-n', 'millrace-policies', 'delete', 'configmap', 'media-edges');
    let replicas = 3;
    await eventually('changes are refused', async () =>
      (await apply('edge', { replicas: replicas++ })) === '' ? undefined : true,
    );
  });
});
