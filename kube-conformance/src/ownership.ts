import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Answer } from './api-client.ts';
import type { World } from './world.ts';
import { assertRefused, configMap, isGone, widget } from './world.ts';

/** "Garbage Collection", "Finalizers", "Namespaces". The garbage collector discovers a new CRD within half a minute. */
export function ownership(world: World): void {
  const { maps, widgets } = world;
  const ownedBy = ({ body }: Answer, more: object = {}) => {
    const { apiVersion, kind, metadata } = body;
    return { ownerReferences: [{ apiVersion, kind, name: metadata.name, uid: metadata.uid, ...more }] };
  };
  const own = (name: string) => world.api.post(maps, configMap(name));
  const depend = (name: string, metadata: object) => world.api.post(maps, configMap(name, {}, metadata));
  const patience = 60_000;

  describe('garbage collection', { concurrency: true }, () => {
    test('dependents of a deleted owner are deleted', async () => {
      const owner = await own('owner');
      await depend('dependent', ownedBy(owner));
      await world.api.del(`${maps}/owner`);
      await world.eventually(`${maps}/dependent`, isGone);
    });
    test('so are those of a custom resource', async () => {
      const owner = await world.api.post(widgets, widget('owner'));
      await depend('custom-dependent', ownedBy(owner, { controller: true, blockOwnerDeletion: true }));
      await world.api.del(`${widgets}/owner`);
      await world.eventually(`${maps}/custom-dependent`, isGone, patience);
    });
    test('a dependent with another owner stays', async () => {
      const [one, two] = await Promise.all([own('one'), own('two')]);
      await depend('shared', { ownerReferences: [...ownedBy(one).ownerReferences, ...ownedBy(two).ownerReferences] });
      await depend('only', ownedBy(one));
      await world.api.del(`${maps}/one`);
      await world.eventually(`${maps}/only`, isGone);
      assert.equal((await world.api.get(`${maps}/shared`)).code, 200);
    });
    test('an object whose owner never existed, or was replaced, is deleted', async () => {
      const uid = '00000000-0000-0000-0000-000000000001';
      await own('namesake');
      for (const name of ['ghost', 'namesake'])
        await depend(`of-${name}`, { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name, uid }] });
      await world.eventually(`${maps}/of-ghost`, isGone);
      await world.eventually(`${maps}/of-namesake`, isGone);
      assert.equal((await world.api.get(`${maps}/namesake`)).code, 200);
    });
    test('Orphan keeps dependents and removes their owner reference', async () => {
      const owner = await own('parent');
      await depend('orphan', ownedBy(owner));
      const { body: marked } = await world.api.del(`${maps}/parent`, { propagationPolicy: 'Orphan' });
      if (marked.kind === 'ConfigMap') assert.ok(marked.metadata.finalizers.includes('orphan'));
      await world.eventually(`${maps}/parent`, isGone);
      const { body } = await world.eventually(`${maps}/orphan`, ({ body: seen }) => seen.metadata?.ownerReferences === undefined);
      assert.equal(body.metadata.name, 'orphan');
    });
    test('Foreground keeps the owner until blocking dependents are gone', async () => {
      const owner = await own('front');
      await depend('blocker', { finalizers: ['conformance.test/hold'], ...ownedBy(owner, { blockOwnerDeletion: true }) });
      const { body: marked } = await world.api.del(`${maps}/front`, { propagationPolicy: 'Foreground' });
      assert.deepEqual(marked.metadata.finalizers, ['foregroundDeletion']);
      await world.eventually(`${maps}/blocker`, ({ body }) => body.metadata?.deletionTimestamp !== undefined);
      assert.equal((await world.api.get(`${maps}/front`)).code, 200);
      await world.api.mergePatch(`${maps}/blocker`, { metadata: { finalizers: null } });
      await world.eventually(`${maps}/front`, isGone);
    });
    test('a chain of owners is deleted completely', async () => {
      const first = await own('chain-1');
      const second = await depend('chain-2', ownedBy(first));
      await depend('chain-3', ownedBy(second));
      await world.api.del(`${maps}/chain-1`);
      await world.eventually(`${maps}/chain-3`, isGone);
    });
  });

  describe('namespaces', () => {
    test('have their name as a label and a default ServiceAccount, and start Active', async () => {
      const { body } = await world.api.get(`/api/v1/namespaces/${world.namespace}`);
      assert.deepEqual([body.metadata.labels['kubernetes.io/metadata.name'], body.status.phase], [world.namespace, 'Active']);
      for (const name of ['default', 'kube-system', 'kube-node-lease'])
        assert.equal((await world.api.get(`/api/v1/namespaces/${name}`)).code, 200);
    });
    test('a namespace that is being deleted accepts no new objects, waits for finalizers, and is removed with its contents', async () => {
      const name = `${world.namespace}-brief`;
      const path = `/api/v1/namespaces/${name}`;
      await world.api.post('/api/v1/namespaces', { metadata: { name } });
      await world.eventually(`${path}/serviceaccounts/default`, ({ code }) => code === 200);
      await world.api.post(`${path}/configmaps`, configMap('held', {}, { finalizers: ['conformance.test/hold'] }));
      await world.api.post(widgets.replace(world.namespace, name), widget('inside'));
      assert.equal((await world.api.del(path)).code, 200);
      assert.equal((await world.api.get(path)).body.status.phase, 'Terminating');
      const refused = await world.api.post(`${path}/configmaps`, configMap('late'));
      assertRefused(refused, 403, 'Forbidden', /because it is being terminated/);
      assert.equal(refused.body.details.causes[0].reason, 'NamespaceTerminating');
      await world.eventually(`${path}/configmaps/held`, ({ body }) => body.metadata?.deletionTimestamp !== undefined);
      await world.eventually(widgets.replace(world.namespace, `${name}`) + '/inside', isGone);
      await world.api.mergePatch(`${path}/configmaps/held`, { metadata: { finalizers: null } });
      await world.eventually(path, isGone, patience);
    });
  });
}
