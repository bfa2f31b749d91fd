import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { World } from './world.ts';
import { assertRefused, causesOf, configMap, namesOf, pod } from './world.ts';

/** The API reference of the kinds that operator, control and node agent use. */
export function builtinKinds(world: World): void {
  const { core, maps, pods } = world;
  describe('pods', () => {
    const bind = (name: string, node: string) =>
      world.api.post(`${pods}/${name}/binding`, {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name },
        target: { apiVersion: 'v1', kind: 'Node', name: node },
      });

    test('a new pod is Pending with defaults, and its spec is immutable except for the image', async () => {
      const { body } = await world.api.post(pods, {
        ...pod('fresh', { containers: [{ name: 'a', image: 'x:1', ports: [{ containerPort: 80 }] }] }),
        status: { phase: 'Running' },
      });
      assert.equal(body.status.phase, 'Pending');
      assert.deepEqual(
        [body.spec.restartPolicy, body.spec.terminationGracePeriodSeconds, body.spec.dnsPolicy, body.spec.serviceAccountName],
        ['Always', 30, 'ClusterFirst', 'default'],
      );
      assert.equal(body.spec.containers[0].ports[0].protocol, 'TCP');
      assertRefused(
        await world.api.mergePatch(`${pods}/fresh`, { spec: { hostNetwork: true } }),
        422,
        'Invalid',
        /pod updates may not change fields other than/,
      );
      const image = [{ op: 'replace', path: '/spec/containers/0/image', value: 'x:2' }];
      assert.equal((await world.api.jsonPatch(`${pods}/fresh`, image)).body.spec.containers[0].image, 'x:2');
    });
    test('a pod without containers, with duplicate containers, or with a mount of an unknown volume is refused', async () => {
      const refused = async (spec: object, cause: string) => {
        const answer = await world.api.post(pods, pod('bad', spec));
        assertRefused(answer, 422, 'Invalid');
        assert.ok(causesOf(answer).includes(cause), causesOf(answer).join());
      };
      await refused({ containers: [] }, 'spec.containers FieldValueRequired');
      await refused(
        {
          containers: [
            { name: 'a', image: 'x' },
            { name: 'a', image: 'x' },
          ],
        },
        'spec.containers[1].name FieldValueDuplicate',
      );
      await refused({ containers: [{ name: 'a' }] }, 'spec.containers[0].image FieldValueRequired');
      await refused({ restartPolicy: 'Sometimes' }, 'spec.restartPolicy FieldValueNotSupported');
      await refused(
        { containers: [{ name: 'a', image: 'x', volumeMounts: [{ name: 'none', mountPath: '/x' }] }] },
        'spec.containers[0].volumeMounts[0].name FieldValueNotFound',
      );
    });
    test('a pod that is not bound is deleted at once, a bound one gracefully: marked first, removed when its agent deletes it', async () => {
      await world.api.post(pods, pod('unbound'));
      assert.equal((await world.api.del(`${pods}/unbound`)).code, 200);
      assert.equal((await world.api.get(`${pods}/unbound`)).code, 404);
      await world.api.post(pods, pod('bound', { terminationGracePeriodSeconds: 20 }));
      assert.equal((await bind('bound', 'n1')).code, 201);
      assertRefused(await bind('bound', 'n2'), 409, 'Conflict', /is already assigned to node "n1"/);
      assert.deepEqual(namesOf(await world.api.get(`${pods}?fieldSelector=spec.nodeName%3Dn1`)), ['bound']);
      const { body } = await world.api.del(`${pods}/bound`);
      assert.equal(body.metadata.deletionGracePeriodSeconds, 20);
      assert.ok(Date.parse(body.metadata.deletionTimestamp) > Date.now() + 10_000, 'the time by which it must be gone');
      assert.equal((await world.api.get(`${pods}/bound`)).code, 200);
      assert.equal((await world.api.del(`${pods}/bound`)).body.metadata.deletionGracePeriodSeconds, 20);
      assert.equal((await world.api.del(`${pods}/bound`, { gracePeriodSeconds: 5 })).body.metadata.deletionGracePeriodSeconds, 5);
      assert.equal((await world.api.del(`${pods}/bound`, { gracePeriodSeconds: 0 })).code, 200);
      assert.equal((await world.api.get(`${pods}/bound`)).code, 404);
    });
    test('their status has at most one address of each IP family', async () => {
      await world.api.post(pods, pod('addressed'));
      const patch = (...ips: string[]) =>
        world.api.mergePatch(`${pods}/addressed/status`, { status: { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) } });
      assert.equal((await patch('192.0.2.1', '2001:db8::1')).code, 200);
      for (const ips of [
        ['192.0.2.1', '192.0.2.2'],
        ['192.0.2.1', '2001:db8::1', '2001:db8::2'],
      ]) {
        const { code, body } = await patch(...ips);
        assert.equal(code, 422);
        assert.match(body.message, /status\.podIPs: Invalid value: .*may specify no more than one IP for each IP family/);
      }
    });

    test('their status is written through its subresource, binding sets PodScheduled', async () => {
      await world.api.post(pods, pod('reported'));
      await bind('reported', 'n1');
      const status = {
        phase: 'Running',
        conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-02T03:04:05Z' }],
      };
      const { body } = await world.api.strategicPatch(`${pods}/reported/status`, { status });
      assert.equal(body.status.phase, 'Running');
      const state = (wanted: string) => body.status.conditions.find(({ type }: { type: string }) => type === wanted)?.status;
      assert.deepEqual([state('Ready'), state('PodScheduled')], ['True', 'True']);
      await world.api.del(`${pods}/reported`, { gracePeriodSeconds: 0 });
    });
    test('an eviction respects a disruption budget', async () => {
      const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'evicted' } };
      await world.api.post(pods, pod('evicted'));
      assert.equal((await world.api.post(`${pods}/evicted/eviction`, eviction)).code, 201);
      assert.equal((await world.api.get(`${pods}/evicted`)).code, 404);
      await world.api.post(pods, pod('guarded', {}, { labels: { app: 'guarded' } }));
      await bind('guarded', 'n1');
      await world.api.mergePatch(`${pods}/guarded/status`, {
        status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
      });
      const budgets = `/apis/policy/v1/namespaces/${world.namespace}/poddisruptionbudgets`;
      const budget = {
        apiVersion: 'policy/v1',
        kind: 'PodDisruptionBudget',
        metadata: { name: 'all' },
        spec: { maxUnavailable: 0, selector: { matchLabels: { app: 'guarded' } } },
      };
      assert.equal((await world.api.post(budgets, budget)).code, 201);
      const refused = await world.api.post(`${pods}/guarded/eviction`, { ...eviction, metadata: { name: 'guarded' } });
      assertRefused(refused, 429, 'TooManyRequests', /Cannot evict pod as it would violate the pod's disruption budget/);
      await world.api.del(`${pods}/guarded`, { gracePeriodSeconds: 0 });
    });
    test('logs of an unknown pod are 404', async () => {
      assertRefused(await world.api.get(`${pods}/none/log`), 404, 'NotFound');
    });
  });

  describe('Leases', () => {
    test('microsecond times are kept, and resourceVersion protects against lost updates', async () => {
      const leases = `/apis/coordination.k8s.io/v1/namespaces/${world.namespace}/leases`;
      const renewTime = '2026-01-02T03:04:05.678901Z';
      const spec = { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime, leaseTransitions: 1 };
      const { body } = await world.api.post(leases, { metadata: { name: 'leader' }, spec });
      assert.deepEqual(body.spec, spec);
      assert.equal((await world.api.put(`${leases}/leader`, { ...body, spec: { ...body.spec, holderIdentity: 'b' } })).code, 200);
      assertRefused(
        await world.api.put(`${leases}/leader`, { ...body, spec: { ...body.spec, holderIdentity: 'c' } }),
        409,
        'Conflict',
      );
      assertRefused(
        await world.api.post(leases, { metadata: { name: 'bad' }, spec: { leaseDurationSeconds: -1 } }),
        422,
        'Invalid',
      );
    });
  });

  describe('Events', () => {
    const event = (name: string, more: object = {}) => ({
      metadata: { name },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', name: 'p', namespace: world.namespace, uid: 'u-1' },
      reason: 'Started',
      message: 'It started.',
      type: 'Normal',
      source: { component: 'conformance' },
      firstTimestamp: '2026-01-02T03:04:05Z',
      lastTimestamp: '2026-01-02T03:04:05Z',
      count: 1,
      ...more,
    });
    test('are selectable by their object, and patches increase their count', async () => {
      assert.equal((await world.api.post(`${core}/events`, event('e1'))).code, 201);
      await world.api.post(
        `${core}/events`,
        event('e2', { involvedObject: { kind: 'Pod', name: 'q', namespace: world.namespace } }),
      );
      const about = (selector: string) => world.api.get(`${core}/events?fieldSelector=${encodeURIComponent(selector)}`);
      assert.deepEqual(namesOf(await about('involvedObject.name=p,involvedObject.uid=u-1,involvedObject.kind=Pod')), ['e1']);
      assert.deepEqual(namesOf(await about('reason=Started,type=Normal,involvedObject.name=q')), ['e2']);
      assert.equal((await world.api.mergePatch(`${core}/events/e1`, { count: 2 })).body.count, 2);
    });
    test('about an object in another namespace are refused', async () => {
      const elsewhere = { involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' } };
      assertRefused(await world.api.post(`${core}/events`, event('e3', elsewhere)), 422, 'Invalid', /involvedObject\.namespace/);
    });
  });

  describe('Secrets and ConfigMaps', () => {
    const secrets = `${core}/secrets`;
    test('stringData of a Secret is encoded into data; data must be base64', async () => {
      const { body } = await world.api.post(secrets, {
        metadata: { name: 'plain' },
        data: { key: 'b2xk', other: 'eA==' },
        stringData: { key: 'value' },
      });
      assert.deepEqual(body.data, { key: Buffer.from('value').toString('base64'), other: 'eA==' });
      assert.deepEqual([body.type, body.stringData], ['Opaque', undefined]);
      assertRefused(
        await world.api.post(secrets, { metadata: { name: 'bad' }, data: { key: 'not base64!' } }),
        400,
        'BadRequest',
      );
    });
    test('the type of a Secret is immutable; keys are validated', async () => {
      assertRefused(await world.api.mergePatch(`${secrets}/plain`, { type: 'other' }), 422, 'Invalid', /field is immutable/);
      assertRefused(await world.api.post(secrets, { metadata: { name: 'keys' }, data: { 'bad key': 'eA==' } }), 422, 'Invalid');
      assertRefused(await world.api.post(maps, configMap('keys', { 'bad key': 'x' })), 422, 'Invalid');
      assertRefused(
        await world.api.post(maps, { metadata: { name: 'both' }, data: { a: 'x' }, binaryData: { a: 'eA==' } }),
        422,
        'Invalid',
      );
    });
    test('immutable ones cannot be changed, nor made mutable', async () => {
      for (const [path, kind] of [
        [maps, 'ConfigMap'],
        [secrets, 'Secret'],
      ] as const) {
        await world.api.post(path, {
          apiVersion: 'v1',
          kind,
          metadata: { name: 'frozen' },
          immutable: true,
          data: { a: 'eA==' },
        });
        assertRefused(
          await world.api.mergePatch(`${path}/frozen`, { data: { a: 'eQ==' } }),
          422,
          'Invalid',
          /field is immutable when `immutable` is set/,
        );
        assertRefused(await world.api.mergePatch(`${path}/frozen`, { immutable: false }), 422, 'Invalid');
        assert.equal((await world.api.mergePatch(`${path}/frozen`, { metadata: { labels: { a: 'b' } } })).code, 200);
        assert.equal((await world.api.del(`${path}/frozen`)).code, 200);
      }
    });
    test('values that are not strings are 400', async () => {
      assertRefused(await world.api.post(maps, configMap('numbers', { a: 1 })), 400, 'BadRequest');
    });
  });

  describe('Nodes', () => {
    test('register with status, are cordoned by a patch, and keep their own status subresource', async () => {
      const name = `node-${world.namespace}`;
      const { code, body } = await world.api.post('/api/v1/nodes', {
        metadata: { name, labels: { zone: 'a' } },
        status: { capacity: { cpu: '2' } },
      });
      assert.deepEqual([code, body.status.capacity.cpu], [201, '2']);
      assert.equal(
        (await world.api.mergePatch(`/api/v1/nodes/${name}`, { spec: { unschedulable: true } })).body.spec.unschedulable,
        true,
      );
      const status = { conditions: [{ type: 'Ready', status: 'True', reason: 'Up', message: '' }] };
      assert.equal((await world.api.strategicPatch(`/api/v1/nodes/${name}/status`, { status })).code, 200);
      assert.equal((await world.api.del(`/api/v1/nodes/${name}`)).code, 200);
    });
  });
}
