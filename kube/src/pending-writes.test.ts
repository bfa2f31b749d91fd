import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { FakeClock } from '@millrace/testkit';
import { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { Informer } from './informer.ts';
import { PendingWrites } from './pending-writes.ts';
import { refOf } from './object.ts';
import { configMaps, type ConfigMap } from './resources.ts';
import { MemoryApi } from '@millrace/testkit/kube-api';
import { quietLogger } from '@millrace/testkit';

const stops: AbortController[] = [];

after(() => {
  for (const stop of stops) stop.abort();
});

const path = '/api/v1/namespaces/ns/configmaps';
const named = (name: string): ConfigMap => ({ metadata: { namespace: 'ns', name } });
const namesOf = (objects: ConfigMap[]): (string | undefined)[] => objects.map((object) => object.metadata?.name);

/** An informer whose watch is delayed until `catchUp`. */
async function start() {
  const clock = new FakeClock();
  const api = new MemoryApi();
  const client = new KubeClient({ transport: api, clock, timeoutMs: 1_000 });
  const { logger, lines } = quietLogger();
  const informer = new Informer<ConfigMap>({ client, resource: configMaps, logger, random: () => 0 });
  const pending = new PendingWrites({ informer, client, clock, logger, timeoutMs: 10_000 });
  const stop = new AbortController();
  stops.push(stop);
  let running: Promise<void> | undefined;
  const catchUp = async (): Promise<void> => {
    running ??= informer.run(stop.signal);
    await clock.settle();
  };
  const view = () => pending.view('owner', informer.store.list());
  return { clock, api, client, informer, pending, catchUp, view, lines };
}

describe('pending writes', () => {
  test('a created object counts once, before and after the cache contains it', async () => {
    const { client, pending, catchUp, view } = await start();
    await pending.create('owner', { namespace: 'ns', name: 'a' }, () => client.create(configMaps, named('a')));
    assert.deepEqual([namesOf(view().objects), pending.recheckAfterMs('owner')], [['a'], 10_000]);
    assert.deepEqual(pending.view('another owner', []).objects, []);
    await catchUp();
    assert.deepEqual([namesOf(view().objects), pending.recheckAfterMs('owner')], [['a'], undefined]);
  });

  test('a create in flight or without an answer is uncertain until the cache contains it', async () => {
    const { api, client, pending, catchUp, view } = await start();
    api.faults.fail = () => 'after';
    const creating = pending.create('owner', { namespace: 'ns', name: 'a' }, () => client.create(configMaps, named('a')));
    assert.deepEqual(view().uncertain, ['ns/a']);
    await assert.rejects(creating, KubeError);
    assert.deepEqual([view().uncertain, view().objects], [['ns/a'], []]);
    api.faults = {};
    await catchUp();
    assert.deepEqual([view().uncertain, namesOf(view().objects)], [[], ['a']]);
  });

  test('a rejected create does not count', async () => {
    const { api, client, pending, view } = await start();
    api.put(`${path}/a`, named('a'));
    await assert.rejects(
      pending.create('owner', { namespace: 'ns', name: 'a' }, () => client.create(configMaps, named('a'))),
      { reason: 'AlreadyExists' },
    );
    assert.deepEqual([view().uncertain, view().objects], [[], []]);
  });

  test('nothing is pending after a watch event that precedes the answer', async () => {
    const { clock, client, pending, catchUp, view } = await start();
    await catchUp();
    const answer = Promise.withResolvers<void>();
    const creating = pending.create('owner', { namespace: 'ns', name: 'a' }, async () => {
      const object = await client.create(configMaps, named('a'));
      await answer.promise;
      return object;
    });
    await clock.settle();
    answer.resolve();
    await creating;
    assert.deepEqual([namesOf(view().objects), pending.recheckAfterMs('owner')], [['a'], undefined]);
  });

  test('an object that we deleted counts as being deleted while the cache still contains it', async () => {
    const { api, client, pending, catchUp, view, informer, clock } = await start();
    api.put(`${path}/a`, named('a'));
    await catchUp();
    api.late = true;
    const object = informer.store.get('ns/a')!;
    const deleting = pending.delete('owner', object, () => client.delete(configMaps, { namespace: 'ns', name: 'a' }));
    assert.equal(view().isDeleting(object), true);
    await deleting;
    await clock.settle();
    assert.deepEqual([namesOf(view().objects), view().isDeleting(object)], [['a'], true]);
    api.late = false;
    await clock.settle();
    assert.deepEqual([view().objects, pending.recheckAfterMs('owner')], [[], undefined]);
  });

  test('deleting a missing object succeeds; a rejected deletion is forgotten', async () => {
    const { pending, view } = await start();
    const object: ConfigMap = { metadata: { namespace: 'ns', name: 'a', uid: 'u', resourceVersion: '1' } };
    await assert.rejects(pending.delete('owner', object, () => Promise.reject(new KubeError(409, 'Conflict', 'changed'))));
    assert.equal(view().isDeleting(object), false);
    await pending.delete('owner', object, () => Promise.reject(new KubeError(404, 'NotFound', 'gone')));
    assert.equal(view().isDeleting(object), true);
  });

  test('our change replaces the cached object until the cache has caught up', async () => {
    const { api, client, pending, catchUp, view, informer, clock } = await start();
    api.put(`${path}/a`, { ...named('a'), data: { mode: 'old' } });
    await catchUp();
    api.late = true;
    const changed = await pending.update('owner', () =>
      client.patch(configMaps, { namespace: 'ns', name: 'a' }, { type: 'merge', patch: { data: { mode: 'new' } } }),
    );
    assert.equal(informer.store.get('ns/a')?.data?.['mode'], 'old');
    await clock.settle();
    assert.deepEqual(view().objects, [changed]);
    api.late = false;
    await clock.settle();
    assert.equal(view().objects[0], informer.store.get('ns/a'));
    assert.equal(view().objects[0]?.data?.['mode'], 'new');
  });

  const { signal } = new AbortController();

  test('a created object that the cache lacks for too long is read from the API, counts if it exists, and is logged', async () => {
    const { clock, client, pending, view, lines } = await start();
    await pending.create('owner', { namespace: 'ns', name: 'a' }, () => client.create(configMaps, named('a')));
    await clock.settle(10_000);
    await pending.verify('owner', signal);
    assert.deepEqual(namesOf(view().objects), ['a']);
    assert.equal(lines.filter((line) => line.msg.startsWith('own write did not appear')).length, 1);
    assert.equal(pending.recheckAfterMs('owner'), 10_000);
  });

  test('a create without an answer is resolved by reading the API', async () => {
    const { api, clock, client, pending, view } = await start();
    for (const [name, fault] of [
      ['done', 'after'],
      ['lost', 'before'],
    ] as const) {
      api.faults.fail = () => fault;
      await assert.rejects(
        pending.create('owner', { namespace: 'ns', name }, () => client.create(configMaps, named(name))),
        KubeError,
      );
    }
    api.faults = {};
    assert.equal(view().uncertain.length, 2);
    await clock.settle(10_000);
    await pending.verify('owner', signal);
    assert.deepEqual([view().uncertain, namesOf(view().objects)], [[], ['done']]);
  });

  test('a deletion counts while the cache lags, and is forgotten when it was not executed', async () => {
    const { api, client, clock, pending, catchUp, view, informer } = await start();
    for (const name of ['gone', 'kept']) api.put(`${path}/${name}`, named(name));
    await catchUp();
    api.late = true;
    const [gone, kept] = [informer.store.get('ns/gone')!, informer.store.get('ns/kept')!];
    await pending.delete('owner', gone, () => client.delete(configMaps, { namespace: 'ns', name: 'gone' }));
    api.faults.fail = () => 'before';
    await assert.rejects(
      pending.delete('owner', kept, () => client.delete(configMaps, { namespace: 'ns', name: 'kept' })),
      KubeError,
    );
    api.faults = {};
    await clock.settle(10_000);
    await pending.verify('owner', signal);
    assert.deepEqual([view().isDeleting(gone), view().isDeleting(kept)], [true, false]);
  });

  test('a change that is missing from the cache for too long is read from the API', async () => {
    const { api, client, clock, pending, catchUp, view } = await start();
    api.put(`${path}/a`, { ...named('a'), data: { mode: 'old' } });
    await catchUp();
    api.late = true;
    const ref = { namespace: 'ns', name: 'a' };
    await pending.update('owner', () => client.patch(configMaps, ref, { type: 'merge', patch: { data: { mode: 'ours' } } }));
    await client.patch(configMaps, ref, { type: 'merge', patch: { data: { mode: 'theirs' } } });
    await clock.settle(10_000);
    assert.equal(view().objects[0]?.data?.['mode'], 'ours');
    await pending.verify('owner', signal);
    assert.equal(view().objects[0]?.data?.['mode'], 'theirs');
  });

  test('a write that a restored API has lost no longer counts once it is listed', async () => {
    const { api, client, clock, pending, catchUp, view } = await start();
    for (const name of ['changed', 'deleted']) api.put(`${path}/${name}`, { ...named(name), data: { mode: 'old' } });
    await catchUp();
    api.late = true;
    const backup = api.snapshot();
    const [changed, deleted] = view().objects;
    await pending.update('owner', () =>
      client.patch(configMaps, refOf(changed!), { type: 'merge', patch: { data: { mode: 'new' } } }),
    );
    await pending.delete('owner', deleted!, () => client.delete(configMaps, refOf(deleted!)));
    await pending.create('owner', refOf(named('made')), () => client.create(configMaps, named('made')));
    await clock.settle();
    assert.deepEqual(
      [namesOf(view().objects), view().objects[0]?.data, view().isDeleting(deleted!)],
      [['changed', 'deleted', 'made'], { mode: 'new' }, true],
    );
    assert.equal(pending.recheckAfterMs('owner'), 10_000, 'the list may change nothing in the cache and trigger no event');
    api.restore(backup);
    await clock.settle(5_000);
    assert.deepEqual(
      [namesOf(view().objects), view().objects[0]?.data, view().isDeleting(deleted!)],
      [['changed', 'deleted'], { mode: 'old' }, false],
    );
  });

  test('repeated views do not postpone reading the API', async () => {
    const { api, client, clock, pending, catchUp, view } = await start();
    api.put(`${path}/a`, { ...named('a'), data: { mode: 'old' } });
    await catchUp();
    api.late = true;
    const ref = { namespace: 'ns', name: 'a' };
    await pending.update('owner', () => client.patch(configMaps, ref, { type: 'merge', patch: { data: { mode: 'ours' } } }));
    await client.patch(configMaps, ref, { type: 'merge', patch: { data: { mode: 'theirs' } } });
    for (let look = 0; look < 4; look++) {
      await clock.settle(4_000);
      await pending.verify('owner', signal);
      for (const object of view().objects) pending.learn('owner', object);
    }
    assert.equal(view().objects[0]?.data?.['mode'], 'theirs');
  });
});
