import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FakeClock } from '@millrace/testkit';
import { Applier } from './apply.ts';
import { KubeClient } from './client.ts';
import { createController, trigger } from './controller.ts';
import { Informer } from './informer.ts';
import { refOf, type KubeObject } from './object.ts';
import { PendingWrites } from './pending-writes.ts';
import { configMaps, type ConfigMap, type Resource } from './resources.ts';
import { seededRandom } from '@millrace/service';
import { MemoryApi } from '@millrace/testkit/kube-api';
import { quietLogger } from '@millrace/testkit';

const path = '/api/v1/namespaces/ns/configmaps';

/** A controller that keeps a number of ConfigMaps: the simplest one that could create too many objects or delete one twice. */
function world(seed: number) {
  const random = seededRandom(seed);
  const clock = new FakeClock();
  const api = new MemoryApi();
  api.faults.pageSize = 2;
  const client = new KubeClient({ transport: api, clock, timeoutMs: 5_000 });
  const { logger } = quietLogger();
  const tuning = { watchTimeoutMs: 60_000, inactivityMs: 30_000 };
  const informer = new Informer<ConfigMap>({ client, resource: configMaps, logger, random, tuning });
  const pending = new PendingWrites({ informer, client, clock, logger, timeoutMs: 20_000 });
  const desired = { count: 0 };
  let names = 0;
  const controller = createController({
    name: 'keeper',
    watches: [trigger(informer, () => ['all'])],
    logger,
    clock,
    random,
    reconcile: async (_key, { signal }) => {
      await pending.verify('all', signal);
      const view = pending.view('all', informer.store.list());
      const live = view.objects.filter((object) => !view.isDeleting(object));
      for (let n = live.length + view.uncertain.length; n < desired.count; n++) {
        const object: ConfigMap = { metadata: { namespace: 'ns', name: `one-${names++}` } };
        await pending.create('all', refOf(object), () => client.create(configMaps, object, { signal }));
      }
      for (const object of live.slice(desired.count)) {
        const preconditions = { uid: object.metadata!.uid! };
        await pending.delete('all', object, () => client.delete(configMaps, refOf(object), { preconditions, signal }));
      }
      return { requeueAfterMs: pending.recheckAfterMs('all') };
    },
  });
  const stop = new AbortController();
  const running = Promise.all([informer.run(stop.signal), controller.run(stop.signal)]);
  const end = async (): Promise<void> => {
    stop.abort();
    await clock.settle(20_000);
    await running;
    assert.equal(clock.pendingTimers, 0, 'timers left');
  };
  return { random, clock, api, informer, controller, desired, end };
}

interface Leveled extends KubeObject {
  spec?: { level: number };
  status?: { level: number };
}

/** A controller that keeps one object's spec, label and status in their desired state, by apply. */
function applyingWorld(seed: number) {
  const random = seededRandom(seed);
  const clock = new FakeClock();
  const api = new MemoryApi();
  const client = new KubeClient({ transport: api, clock, timeoutMs: 5_000 });
  const { logger } = quietLogger();
  const resource: Resource<Leveled> = { ...configMaps, object: undefined };
  const informer = new Informer<Leveled>({ client, resource, logger, random });
  const applier = new Applier(client, 'keeper');
  let level = 1;
  const controller = createController({
    name: 'keeper',
    watches: [trigger(informer, () => ['one'])],
    logger,
    clock,
    random,
    reconcile: async (_key, { signal }) => {
      const metadata = { namespace: 'ns', name: 'one' };
      const cached = informer.store.get('ns/one');
      const desired: Leveled = { metadata: { ...metadata, labels: { mode: 'ours' } }, spec: { level } };
      const { object } = await applier.apply(resource, desired, cached, { signal });
      await applier.apply(resource, { metadata, status: { level } }, object, { subresource: 'status', signal });
    },
  });
  const stop = new AbortController();
  const running = Promise.all([informer.run(stop.signal), controller.run(stop.signal)]);
  const setLevel = (next?: number): number => {
    if (next !== undefined) level = next;
    controller.enqueue('one');
    return level;
  };
  setLevel();
  const end = async (): Promise<void> => {
    stop.abort();
    await clock.settle(20_000);
    await running;
    assert.equal(clock.pendingTimers, 0, 'timers left');
  };
  return { api, clock, setLevel, end };
}

const action = fc.oneof(
  fc.record({ what: fc.constant('scale' as const), count: fc.integer({ min: 0, max: 5 }) }),
  // Creates without an answer while the watch lags: the case most likely to create too many objects.
  fc.record({ what: fc.constant('blind' as const), count: fc.integer({ min: 3, max: 8 }), ms: fc.constantFrom(100, 10_000) }),
  fc.record({
    what: fc.constant('faults' as const),
    how: fc.constantFrom('refuse', 'before', 'after', 'stall', 'stallAfter'),
    share: fc.double({ min: 0, max: 1 }),
  }),
  fc.record({ what: fc.constant('late' as const), late: fc.boolean() }),
  fc.record({
    what: fc.constantFrom('cut' as const, 'end' as const, 'compact' as const, 'othersDelete' as const, 'gap' as const),
  }),
  fc.record({ what: fc.constant('wait' as const), ms: fc.constantFrom(0, 1, 100, 3_000, 20_000) }),
);

describe('random interleavings', () => {
  test('whatever the API and the watch do, there are never too many objects, and the desired number remains', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 25 }), fc.integer(), async (actions, seed) => {
        const { random, clock, api, informer, controller, desired, end } = world(seed);
        desired.count = 2;
        for (const step of actions) {
          if (step.what === 'scale') {
            desired.count = Math.max(desired.count, step.count);
            controller.enqueue('all');
          } else if (step.what === 'faults') {
            api.faults.fail = () => (random() < step.share ? step.how : undefined);
          } else if (step.what === 'blind') {
            api.late = true;
            let unanswered = 2;
            api.faults.fail = (request) => (request.method === 'POST' && unanswered-- > 0 ? 'after' : undefined);
            desired.count = Math.max(desired.count, step.count);
            controller.enqueue('all');
            await clock.settle(step.ms);
          } else if (step.what === 'late') {
            api.late = step.late;
          } else if (step.what === 'cut') {
            api.cutWatches(Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
          } else if (step.what === 'end') {
            api.cutWatches();
          } else if (step.what === 'compact') {
            api.compact();
          } else if (step.what === 'othersDelete' || step.what === 'gap') {
            if (step.what === 'gap') api.cutWatches(Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
            const first = [...api.objects.keys()][0];
            if (first) api.put(first, undefined);
            if (step.what === 'gap') api.compact();
          }
          await clock.settle(step.what === 'wait' ? step.ms : 0);
          assert.ok(api.objects.size <= desired.count, `${api.objects.size} objects, ${desired.count} desired`);
        }
        delete api.faults.fail;
        controller.enqueue('all');
        api.late = false;
        await clock.settle(400_000);
        assert.equal(api.objects.size, desired.count);
        const cached = informer.store.list().map((object) => [object.metadata?.name, object.metadata?.resourceVersion]);
        const stored = [...api.objects.values()].map(({ metadata }) => [metadata.name, metadata.resourceVersion]);
        assert.deepEqual(cached.sort(), stored.sort());
        await end();
      }),
      { numRuns: 500 },
    );
  });

  test('scaling down while the watch lags deletes each object once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 8 }), fc.integer(), async (from, to, seed) => {
        const { clock, api, controller, desired, end } = world(seed);
        desired.count = from;
        controller.enqueue('all');
        await clock.settle(1_000);
        api.late = true;
        desired.count = Math.min(from, to);
        for (let i = 0; i < 10; i++) {
          controller.enqueue('all');
          await clock.settle(1_000);
        }
        const deletions = api.requests.filter((request) => request.method === 'DELETE').map((request) => request.path);
        assert.equal(deletions.length, new Set(deletions).size);
        assert.equal(api.objects.size, desired.count);
        assert.ok([...api.objects.keys()].every((key) => key.startsWith(path)));
        await end();
      }),
      { numRuns: 40 },
    );
  });

  test('whatever others write, the applied state wins, and then no more requests are sent', async () => {
    const touch = fc.record({
      field: fc.constantFrom('spec', 'status', 'labels', 'other', 'delete'),
      level: fc.option(fc.integer({ min: 0, max: 3 })),
      fault: fc.option(fc.constantFrom('refuse' as const, 'before' as const, 'after' as const), { freq: 3 }),
      late: fc.boolean(),
      waitMs: fc.constantFrom(0, 50, 2_000),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(touch, { maxLength: 12 }), fc.integer(), async (touches, seed) => {
        const { api, clock, setLevel, end } = applyingWorld(seed);
        await clock.settle(100);
        for (const { field, level: next, fault, late, waitMs } of touches) {
          api.late = late;
          api.faults.fail = fault ? () => fault : undefined;
          if (next !== null) setLevel(next);
          const now = api.objects.get(`${path}/one`);
          if (field === 'delete') api.put(`${path}/one`, undefined);
          else if (now && field === 'labels')
            api.put(`${path}/one`, { ...now, metadata: { ...now.metadata, labels: { mode: 'theirs' } } });
          else if (now) api.put(`${path}/one`, { ...now, [field]: { level: 99 } });
          await clock.settle(waitMs);
        }
        api.faults = {};
        api.late = false;
        const level = setLevel();
        await clock.settle(300_000);
        const { spec, status, metadata } = api.objects.get(`${path}/one`)!;
        assert.deepEqual([spec, status, metadata['labels']], [{ level }, { level }, { mode: 'ours' }]);
        const before = api.requests.length;
        await clock.settle(300_000);
        assert.equal(api.requests.length, before);
        await end();
      }),
      { numRuns: 200 },
    );
  });
});
