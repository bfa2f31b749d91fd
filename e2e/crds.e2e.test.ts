import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { manifestOf, manifestTables } from '@millrace/api/crds/manifests';
import { createKubeClient, KubeError, loadKubeconfig, type KubeClient, type KubeObject, type Resource } from '@millrace/kube';
import { kubeApis, type KubeApi } from './src/kube-apis.ts';

for (const { name, start } of kubeApis) describe(`the CRDs on ${name}`, () => crdsOn(start));

/** The manifests of the unit tests, applied over the API. */
function crdsOn(start: () => Promise<KubeApi>): void {
  let cluster: KubeApi;
  let client: KubeClient;
  before(async () => {
    cluster = await start();
    client = createKubeClient({ kubeconfig: loadKubeconfig({ file: cluster.kubeconfigPath }), qps: 1000, burst: 1000 });
  });
  after(async () => {
    client?.close();
    await cluster?.stop();
  });

  for (const { crd, right, wrong } of manifestTables()) {
    const { group, names, versions } = crd.spec;
    const resource: Resource = {
      group,
      version: versions[0]?.name ?? '',
      plural: names.plural,
      kind: names.kind,
      namespaced: true,
    };
    const write = async (object: KubeObject, old: KubeObject | undefined): Promise<KubeObject> => {
      if (!old) return client.create(resource, object);
      const stored = await client.create(resource, old);
      const { resourceVersion } = stored.metadata ?? {};
      return client.update(resource, { ...object, metadata: { ...object.metadata, resourceVersion } });
    };
    const remove = async (name: string): Promise<void> => {
      await client.delete(resource, { namespace: 'default', name }).catch((error: unknown) => {
        if (!(error instanceof KubeError && error.code === 404)) throw error;
      });
    };

    describe(names.kind, () => {
      for (const given of right)
        test(`takes ${given.name}`, async () => {
          const object = manifestOf(crd, given) as KubeObject;
          await write(object, given.old && manifestOf(crd, given, 'old'));
          await remove(object.metadata?.name ?? '');
        });
      for (const given of wrong)
        test(`refuses ${given.name}`, async () => {
          const object = manifestOf(crd, given) as KubeObject;
          const outcome = await write(object, given.old && (manifestOf(crd, given, 'old') as KubeObject)).catch(
            (error: unknown) => error,
          );
          await remove(object.metadata?.name ?? '');
          assert.ok(outcome instanceof KubeError, 'it was taken');
          const causes = outcome.details?.causes ?? [];
          const found = causes.some(
            (cause) =>
              (cause.field === '<nil>' ? '' : (cause.field ?? '')) === given.field &&
              cause.reason === given.reason &&
              (cause.message ?? '').includes(given.message ?? ''),
          );
          assert.ok(found, `wanted ${given.reason} at ${given.field}, got ${outcome.code} ${JSON.stringify(causes)}`);
        });
    });
  }

  test('every kind is in the category millrace and has its short name', async () => {
    const kinds = await cluster.kubectl('api-resources', '--categories=millrace', '--no-headers', '-o', 'wide');
    for (const shortName of ['me', 'rm', 'sr', 'mn']) assert.match(kinds, new RegExp(`\\s${shortName}\\s`));
  });

  test('kubectl explain knows what a field means', async () => {
    assert.match(
      await cluster.kubectl('explain', 'mediaedge.spec.drain.timeoutSeconds'),
      /Seconds after which the pod is deleted/,
    );
  });

  test('kubectl scale writes replicas', async () => {
    const edge = { apiVersion: 'millrace.dev/v1alpha1', kind: 'MediaEdge', metadata: { name: 'scaled', namespace: 'default' } };
    await cluster.kubectlWithInput(JSON.stringify({ ...edge, spec: { region: 'eu', roles: ['pull'] } }), 'apply', '-f', '-');
    await cluster.kubectl('scale', 'mediaedge', 'scaled', '--replicas=4');
    assert.equal((await cluster.kubectl('get', 'mediaedge', 'scaled', '-o', 'jsonpath={.spec.replicas}')).trim(), '4');
  });
}
