import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { KubeObject } from './object.ts';
import { byLabel, byOwner, Store, type Change } from './store.ts';

function object(
  name: string,
  version: string,
  init: { uid?: string; labels?: Record<string, string>; owner?: string } = {},
): KubeObject {
  return {
    metadata: {
      namespace: 'ns',
      name,
      uid: init.uid ?? `uid-${name}`,
      resourceVersion: version,
      ...(init.labels ? { labels: init.labels } : {}),
      ...(init.owner ? { ownerReferences: [{ apiVersion: 'v1', kind: 'X', name: 'x', uid: init.owner, controller: true }] } : {}),
    },
  };
}

const told = (changes: Change<KubeObject>[]): string[] =>
  changes.map((change) => `${change.type} ${change.object.metadata?.name}@${change.object.metadata?.resourceVersion}`);

describe('store', () => {
  test('returns what an event changed, with the old and the new object', () => {
    const store = new Store();
    const first = object('a', '1');
    assert.deepEqual(told(store.apply('ADDED', first)), ['added a@1']);
    const second = object('a', '2');
    assert.deepEqual(store.apply('MODIFIED', second), [{ type: 'updated', object: second, old: first }]);
    assert.deepEqual(told(store.apply('DELETED', object('a', '3'))), ['deleted a@3']);
    assert.equal(store.get('ns/a'), undefined);
  });

  test('a duplicate event changes nothing', () => {
    const store = new Store();
    store.apply('ADDED', object('a', '1'));
    assert.deepEqual(store.apply('ADDED', object('a', '1')), []);
    store.apply('DELETED', object('a', '2'));
    assert.deepEqual(store.apply('DELETED', object('a', '2')), []);
  });

  test('a list reports missed deletions, additions and changes, and nothing else', () => {
    const store = new Store();
    for (const name of ['same', 'changed', 'gone']) store.apply('ADDED', object(name, '1'));
    const changes = store.replace([object('same', '1'), object('changed', '5'), object('new', '6')]);
    assert.deepEqual(told(changes), ['deleted gone@1', 'updated changed@5', 'added new@6']);
  });

  test('a list wins even if its versions are older', () => {
    const store = new Store();
    store.apply('ADDED', object('a', '900'));
    assert.deepEqual(told(store.replace([object('a', '20')])), ['updated a@20']);
  });

  test('another object of the same name gives a deletion and an addition', () => {
    const store = new Store();
    store.apply('ADDED', object('a', '1', { uid: 'first' }));
    assert.deepEqual(told(store.replace([object('a', '9', { uid: 'second' })])), ['deleted a@1', 'added a@9']);
  });

  test('indexes follow changes of labels and owners', () => {
    const store = new Store({ app: byLabel('app'), owner: byOwner });
    const names = (objects: KubeObject[]): (string | undefined)[] => objects.map((item) => item.metadata?.name);
    store.apply('ADDED', object('a', '1', { labels: { app: 'x' }, owner: 'o1' }));
    store.apply('ADDED', object('b', '2', { labels: { app: 'x' } }));
    assert.deepEqual(names(store.byIndex('app', 'x')), ['a', 'b']);
    assert.deepEqual(names(store.byIndex('owner', 'o1')), ['a']);
    store.apply('MODIFIED', object('a', '3', { labels: { app: 'y' } }));
    assert.deepEqual(names(store.byIndex('app', 'x')), ['b']);
    assert.deepEqual(names(store.byIndex('app', 'y')), ['a']);
    assert.deepEqual(store.byIndex('owner', 'o1'), []);
    store.replace([]);
    assert.deepEqual(store.byIndex('app', 'x'), []);
    assert.throws(() => store.byIndex('zone', 'x'), /no index "zone"; known: app, owner/);
  });

  test('an object for which an indexer throws is in the store, and the failure is reported', () => {
    const failures: string[] = [];
    const index = (item: KubeObject): string[] => {
      if (item.metadata?.name === 'odd') throw new Error('cannot read');
      return ['all'];
    };
    const store = new Store({ index }, (error, name, key) => failures.push(`${name} ${key}: ${(error as Error).message}`));
    store.replace([object('a', '1'), object('odd', '2'), object('b', '3')]);
    assert.deepEqual([store.size, store.byIndex('index', 'all').length], [3, 2]);
    assert.deepEqual(failures, ['index ns/odd: cannot read']);
  });

  test('an indexer whose result changes leaves no stale entries', () => {
    let now = 'morning';
    const store = new Store({ time: () => [now] });
    store.apply('ADDED', object('a', '1'));
    now = 'noon';
    store.apply('DELETED', object('a', '2'));
    assert.deepEqual([store.byIndex('time', 'morning'), store.byIndex('time', 'noon')], [[], []]);
  });

  test('a reader cannot change a cached object', () => {
    const store = new Store();
    store.apply('ADDED', object('a', '1', { labels: { app: 'x' } }));
    assert.throws(() => {
      store.get('ns/a')!.metadata!.labels!['app'] = 'y';
    }, TypeError);
  });
});
