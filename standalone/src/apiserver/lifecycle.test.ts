import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Answer } from './testing/api-under-test.ts';
import { ApiUnderTest, widgetCrd } from './testing/api-under-test.ts';

// What a cluster leaves to its controllers: garbage collection, namespaces, CRD clean-up, token review.
let api: ApiUnderTest;
const core = '/api/v1/namespaces/default';
const widgets = '/apis/conformance.test/v1/namespaces/default/widgets';
before(async () => {
  api = await ApiUnderTest.start();
  await api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', widgetCrd);
});
after(() => api.close());

/** Asks until the answer satisfies; fails with the last one after 5 s. */
async function eventually(path: string, isRight: (answer: Answer) => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  for (;;) {
    const answer = await api.get(path);
    if (isRight(answer)) return;
    if (Date.now() > deadline) assert.fail(`${path}: ${answer.code} ${JSON.stringify(answer.body)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
const isGone = ({ code }: Answer) => code === 404;
const widget = (name: string, more: object = {}) => ({
  apiVersion: 'conformance.test/v1',
  kind: 'Widget',
  metadata: { name, ...more },
  spec: { size: 1 },
});
const ownedBy = (owner: Answer, more: object = {}) => ({
  ownerReferences: [
    { apiVersion: 'conformance.test/v1', kind: 'Widget', name: owner.body.metadata.name, uid: owner.body.metadata.uid, ...more },
  ],
});

describe('garbage collection', () => {
  test('dependents of a deleted owner go', async () => {
    const owner = await api.post(widgets, widget('owner'));
    await api.post(`${core}/configmaps`, { metadata: { name: 'dependent', ...ownedBy(owner) } });
    await api.del(`${widgets}/owner`);
    await eventually(`${core}/configmaps/dependent`, isGone);
  });
  test('a dependent with another owner stays', async () => {
    const [one, two] = await Promise.all([api.post(widgets, widget('one')), api.post(widgets, widget('two'))]);
    const ownerReferences = [...ownedBy(one).ownerReferences, ...ownedBy(two).ownerReferences];
    await api.post(`${core}/configmaps`, { metadata: { name: 'shared', ownerReferences } });
    await api.post(`${core}/configmaps`, { metadata: { name: 'only', ...ownedBy(one) } });
    await api.del(`${widgets}/one`);
    await eventually(`${core}/configmaps/only`, isGone);
    assert.equal((await api.get(`${core}/configmaps/shared`)).code, 200);
  });
  test('an object whose owner never existed goes', async () => {
    const ownerReferences = [
      { apiVersion: 'conformance.test/v1', kind: 'Widget', name: 'ghost', uid: '00000000-0000-0000-0000-000000000001' },
    ];
    await api.post(`${core}/configmaps`, { metadata: { name: 'haunted', ownerReferences } });
    await eventually(`${core}/configmaps/haunted`, isGone);
  });
  test('Orphan keeps dependents and takes their reference off', async () => {
    const owner = await api.post(widgets, widget('parent'));
    await api.post(`${core}/configmaps`, { metadata: { name: 'orphan', ...ownedBy(owner) } });
    await api.del(`${widgets}/parent`, { propagationPolicy: 'Orphan' });
    await eventually(`${widgets}/parent`, isGone);
    const { body } = await api.get(`${core}/configmaps/orphan`);
    assert.equal(body.metadata.ownerReferences, undefined);
  });
  test('Foreground keeps the owner until blocking dependents are gone', async () => {
    const owner = await api.post(widgets, widget('front'));
    await api.post(`${core}/configmaps`, {
      metadata: { name: 'blocker', finalizers: ['conformance.test/hold'], ...ownedBy(owner, { blockOwnerDeletion: true }) },
    });
    await api.del(`${widgets}/front`, { propagationPolicy: 'Foreground' });
    await eventually(`${core}/configmaps/blocker`, ({ body }) => body.metadata?.deletionTimestamp !== undefined);
    assert.equal((await api.get(`${widgets}/front`)).code, 200);
    await api.mergePatch(`${core}/configmaps/blocker`, { metadata: { finalizers: null } });
    await eventually(`${widgets}/front`, isGone);
  });
});

describe('namespaces and CRDs', () => {
  test('a namespace has its default ServiceAccount, takes nothing while it ends, and goes with all that is in it', async () => {
    await api.post('/api/v1/namespaces', { metadata: { name: 'brief' } });
    const inside = '/api/v1/namespaces/brief';
    await eventually(`${inside}/serviceaccounts/default`, ({ code }) => code === 200);
    await api.post(`${inside}/configmaps`, { metadata: { name: 'held', finalizers: ['conformance.test/hold'] } });
    assert.equal((await api.del('/api/v1/namespaces/brief')).body.status.phase, 'Terminating');
    const refused = await api.post(`${inside}/configmaps`, { metadata: { name: 'late' } });
    assert.equal(refused.code, 403);
    assert.equal(refused.body.details.causes[0].reason, 'NamespaceTerminating');
    assert.equal((await api.get('/api/v1/namespaces/brief')).code, 200);
    await api.mergePatch(`${inside}/configmaps/held`, { metadata: { finalizers: null } });
    await eventually('/api/v1/namespaces/brief', isGone);
  });
  test('a deleted CRD takes its objects with it, and its path is gone', async () => {
    const names = { plural: 'gizmos', kind: 'Gizmo' };
    const crd = { ...widgetCrd, metadata: { name: 'gizmos.conformance.test' }, spec: { ...widgetCrd.spec, names } };
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const gizmos = '/apis/conformance.test/v1/namespaces/default/gizmos';
    assert.equal((await api.post(path, crd)).code, 201);
    assert.equal((await api.post(gizmos, { metadata: { name: 'g' }, spec: { size: 1 } })).code, 201);
    await api.del(`${path}/gizmos.conformance.test`);
    await eventually(`${path}/gizmos.conformance.test`, isGone);
    assert.equal((await api.get(gizmos)).code, 404);
    assert.equal((await api.post(path, crd)).code, 201);
    assert.equal((await api.get(gizmos)).body.items.length, 0);
  });
});

describe('service account tokens', () => {
  const review = (token: string, audiences?: string[]) =>
    api.post('/apis/authentication.k8s.io/v1/tokenreviews', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences },
    });
  const request = (boundObjectRef?: object) =>
    api.post(`${core}/serviceaccounts/default/token`, {
      spec: { audiences: ['millrace-control'], expirationSeconds: 3600, boundObjectRef },
    });
  test('a token bound to a pod is good for its audience, names the pod, and ends with it', async () => {
    await eventually(`${core}/serviceaccounts/default`, ({ code }) => code === 200);
    const pod = await api.post(`${core}/pods`, {
      metadata: { name: 'bearer' },
      spec: { containers: [{ name: 'a', image: 'x:1' }] },
    });
    const { uid } = pod.body.metadata;
    const { body } = await request({ apiVersion: 'v1', kind: 'Pod', name: 'bearer', uid });
    const { token } = body.status;
    const good = (await review(token, ['millrace-control'])).body.status;
    assert.equal(good.authenticated, true);
    assert.equal(good.user.username, 'system:serviceaccount:default:default');
    assert.deepEqual(good.user.extra['authentication.kubernetes.io/pod-uid'], [uid]);
    assert.deepEqual(good.audiences, ['millrace-control']);
    assert.equal((await review(token, ['other'])).body.status.authenticated, false);
    assert.equal((await api.get(`${core}/pods`, { token })).code, 401);
    await api.del(`${core}/pods/bearer`);
    assert.equal((await review(token, ['millrace-control'])).body.status.authenticated, false);
  });
  test('rubbish and a forged token are not authenticated', async () => {
    const { body } = await request();
    const [head, claims] = (body.status.token as string).split('.');
    for (const token of [
      'rubbish',
      `${head}.${claims}.AAAA`,
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.`,
    ]) {
      assert.equal((await review(token, ['millrace-control'])).body.status.authenticated, false, token);
    }
  });
  test('a token bound to another pod than asked for is refused', async () => {
    await api.post(`${core}/pods`, { metadata: { name: 'uid' }, spec: { containers: [{ name: 'a', image: 'x:1' }] } });
    assert.equal((await request({ kind: 'Pod', name: 'uid', uid: '00000000-0000-0000-0000-000000000000' })).code, 409);
    assert.equal((await request({ kind: 'Pod', name: 'none' })).code, 404);
  });
});
