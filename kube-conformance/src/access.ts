import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { World } from './world.ts';
import { assertRefused, isGone, pod } from './world.ts';

const noUid = '00000000-0000-0000-0000-000000000000';

/** "Managing Service Accounts" (TokenRequest, bound tokens), TokenReview, "Authorization" (SelfSubjectAccessReview). */
export function access(world: World): void {
  const { core, pods } = world;
  const review = (token: string, audiences?: string[]) =>
    world.api.post('/apis/authentication.k8s.io/v1/tokenreviews', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences },
    });
  const request = (boundObjectRef?: object, spec: object = {}) =>
    world.api.post(`${core}/serviceaccounts/default/token`, {
      spec: { audiences: ['millrace-control'], expirationSeconds: 3600, boundObjectRef, ...spec },
    });

  describe('tokens', () => {
    test('a token bound to a pod is valid for its audience, names the pod, and expires with it', async () => {
      const { body: bearer } = await world.api.post(pods, pod('bearer'));
      const { uid } = bearer.metadata;
      const { code, body } = await request({ apiVersion: 'v1', kind: 'Pod', name: 'bearer', uid });
      assert.equal(code, 201);
      const { token, expirationTimestamp } = body.status;
      assert.ok(Math.abs(Date.parse(expirationTimestamp as string) - Date.now() - 3_600_000) < 60_000);
      const good = (await review(token, ['millrace-control'])).body.status;
      assert.deepEqual([good.authenticated, good.audiences], [true, ['millrace-control']]);
      const { username, groups, extra } = good.user;
      assert.equal(username, `system:serviceaccount:${world.namespace}:default`);
      assert.ok(groups.includes('system:authenticated') && groups.includes(`system:serviceaccounts:${world.namespace}`));
      assert.deepEqual(extra['authentication.kubernetes.io/pod-uid'], [uid]);
      assert.deepEqual(extra['authentication.kubernetes.io/pod-name'], ['bearer']);
      assert.notEqual((await review(token, ['other'])).body.status.authenticated, true);
      assert.notEqual((await review(token)).body.status.authenticated, true, 'the API itself is another audience');
      assertRefused(await world.api.get(pods, { token: token as string }), 401, 'Unauthorized');
      await world.api.del(`${pods}/bearer`);
      await world.eventually(`${pods}/bearer`, isGone);
      // A positive review may be cached for some seconds (--authentication-token-webhook-cache and the like).
      for (let tries = 0; tries < 200 && (await review(token, ['millrace-control'])).body.status.authenticated === true; tries++)
        await new Promise((resolve) => setTimeout(resolve, 100));
      assert.notEqual((await review(token, ['millrace-control'])).body.status.authenticated, true);
    });
    test('malformed and forged tokens are not authenticated', async () => {
      const { body } = await request();
      const [head, claims] = (body.status.token as string).split('.');
      const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.`;
      for (const token of ['rubbish', `${head}.${claims}.AAAA`, unsigned])
        assert.notEqual((await review(token, ['millrace-control'])).body.status.authenticated, true, token);
    });
    test('a request for a token is refused for a pod with another uid, for an unknown account, and for too short a time', async () => {
      await world.api.post(pods, pod('meant'));
      assertRefused(await request({ apiVersion: 'v1', kind: 'Pod', name: 'meant', uid: noUid }), 409, 'Conflict');
      assertRefused(await request({ apiVersion: 'v1', kind: 'Pod', name: 'none', uid: noUid }), 404, 'NotFound');
      assertRefused(
        await request(undefined, { expirationSeconds: 60 }),
        422,
        'Invalid',
        /may not specify a duration less than 10 minutes/,
      );
      assertRefused(await world.api.post(`${core}/serviceaccounts/none/token`, { spec: {} }), 404, 'NotFound');
    });
  });

  describe('permissions', () => {
    test('a self review shows an administrator that everything is allowed, and the user name', async () => {
      const spec = { resourceAttributes: { namespace: world.namespace, verb: 'create', resource: 'pods' } };
      const asked = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec };
      const { code, body } = await world.api.post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', asked);
      assert.deepEqual([code, body.status.allowed], [201, true]);
      const self = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
      const { body: whoami } = await world.api.post('/apis/authentication.k8s.io/v1/selfsubjectreviews', self);
      assert.ok(whoami.status.userInfo.username);
      assert.ok(whoami.status.userInfo.groups.includes('system:masters'));
    });
  });
}
