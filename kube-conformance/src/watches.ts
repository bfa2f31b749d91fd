import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { collect } from './api-client.ts';
import type { WatchEvent } from './api-client.ts';
import type { World } from './world.ts';
import { assertRefused, configMap, widget } from './world.ts';

const kinds = (events: WatchEvent[]) => events.map(({ type }) => type);

/** "API concepts": efficient detection of changes, watch bookmarks, streaming lists (KEP-3157). */
export function watches(world: World): void {
  const { maps, widgets } = world;
  const versionNow = async (): Promise<string> => (await world.api.get(maps)).body.metadata.resourceVersion as string;

  describe('watch', { concurrency: true }, () => {
    test('from the resourceVersion of a list, every change arrives once and in order', async () => {
      const from = await versionNow();
      const { body: made } = await world.api.post(maps, configMap('watched', { n: '1' }));
      await world.api.mergePatch(`${maps}/watched`, { data: { n: '2' } });
      await world.api.mergePatch(`${maps}/watched`, { data: { n: '2' } }); // changes nothing: no event
      await world.api.mergePatch(`${maps}/watched?dryRun=All`, { data: { n: '3' } }); // nor this
      const { body: last } = await world.api.get(`${maps}/watched`);
      await world.api.del(`${maps}/watched`);
      const path = `${maps}?watch=true&resourceVersion=${from}&fieldSelector=metadata.name%3Dwatched`;
      const events = await collect(world.api.watch(path), (seen) => seen.length === 3);
      assert.deepEqual(
        events.map(({ type, object }) => [type, object.data.n]),
        [
          ['ADDED', '1'],
          ['MODIFIED', '2'],
          ['DELETED', '2'],
        ],
      );
      assert.deepEqual(events[0]?.object, made);
      const versions = events.map(({ object }) => Number(object.metadata.resourceVersion));
      assert.equal(versions[1], Number(last.metadata.resourceVersion));
      assert.ok((versions[2] ?? 0) > (versions[1] ?? 0), 'a deletion has a version of its own');
    });
    test('from the resourceVersion of an event, the following ones arrive', async () => {
      const { body: made } = await world.api.post(maps, configMap('resumed'));
      await world.api.mergePatch(`${maps}/resumed`, { data: { n: '1' } });
      const path = `${maps}?watch=1&resourceVersion=${made.metadata.resourceVersion}&fieldSelector=metadata.name%3Dresumed`;
      const [event] = await collect(world.api.watch(path), (seen) => seen.length === 1);
      assert.deepEqual([event?.type, event?.object.data], ['MODIFIED', { n: '1' }]);
    });
    for (const query of ['', '&resourceVersion=0'])
      test(`with ${query ? 'resourceVersion 0' : 'no resourceVersion'} existing objects come first`, async () => {
        const name = `present${query ? '-any' : ''}`;
        await world.api.post(maps, configMap(name, {}, { labels: { suite: name } }));
        await world.eventually(`${maps}/${name}?resourceVersion=0`, ({ code }) => code === 200);
        const [event] = await collect(
          world.api.watch(`${maps}?watch=true&labelSelector=suite%3D${name}${query}`),
          (seen) => seen.length === 1,
        );
        assert.equal(event?.type, 'ADDED');
      });
    test('an object that stops matching the selector is DELETED for the watcher, one that starts is ADDED', async () => {
      const from = await versionNow();
      await world.api.post(maps, configMap('mover'));
      await world.api.mergePatch(`${maps}/mover`, { metadata: { labels: { side: 'in' } } });
      await world.api.mergePatch(`${maps}/mover`, { data: { n: '1' } });
      const { body: out } = await world.api.mergePatch(`${maps}/mover`, { metadata: { labels: { side: 'out' } } });
      const path = `${maps}?watch=true&resourceVersion=${from}&labelSelector=side%3Din`;
      const events = await collect(world.api.watch(path), (seen) => seen.length === 3);
      assert.deepEqual(kinds(events), ['ADDED', 'MODIFIED', 'DELETED']);
      const gone = events[2]?.object;
      assert.deepEqual([gone.metadata.labels, gone.metadata.resourceVersion], [{ side: 'in' }, out.metadata.resourceVersion]);
    });
    test('timeoutSeconds ends the watch; with bookmarks the last event is one', async () => {
      const path = `${widgets}?watch=true&timeoutSeconds=3&allowWatchBookmarks=true&labelSelector=none`;
      const startedAt = performance.now();
      const events = await collect(world.api.watch(path), () => false);
      assert.ok(performance.now() - startedAt < 6_000);
      const last = events.at(-1);
      assert.deepEqual([last?.type, last?.object.kind, last?.object.apiVersion], ['BOOKMARK', 'Widget', 'conformance.test/v1']);
      assert.ok(Number(last?.object.metadata.resourceVersion) > 0);
    });
    test('without allowWatchBookmarks there are none', async () => {
      assert.deepEqual(
        await collect(world.api.watch(`${widgets}?watch=true&timeoutSeconds=2&labelSelector=none`), () => false),
        [],
      );
    });
    test('from the resourceVersion of a bookmark, nothing is missed', async () => {
      const path = `${widgets}?watch=true&labelSelector=suite%3Dmarked`;
      const marks = await collect(world.api.watch(`${path}&timeoutSeconds=3&allowWatchBookmarks=true`), () => false);
      const from = marks.at(-1)?.object.metadata.resourceVersion as string;
      await world.api.post(widgets, widget('marked', { size: 1 }, { labels: { suite: 'marked' } }));
      const events = await collect(world.api.watch(`${path}&resourceVersion=${from}`), (seen) => seen.length === 1);
      assert.deepEqual(kinds(events), ['ADDED']);
    });
    test('sendInitialEvents streams the state, marks its end with an annotated bookmark, and continues', async () => {
      await world.api.post(widgets, widget('initial', { size: 1 }, { labels: { suite: 'initial' } }));
      const query = 'watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan';
      const watch = world.api.watch(`${widgets}?${query}&labelSelector=suite%3Dinitial`);
      const events: WatchEvent[] = [];
      for await (const event of watch) {
        events.push(event);
        if (event.type === 'BOOKMARK')
          await world.api.post(widgets, widget('later', { size: 1 }, { labels: { suite: 'initial' } }));
        if (events.length === 3) break;
      }
      assert.deepEqual(kinds(events), ['ADDED', 'BOOKMARK', 'ADDED']);
      const mark = events[1]?.object.metadata;
      assert.equal(mark.annotations['k8s.io/initial-events-end'], 'true');
      assert.ok(Number(mark.resourceVersion) >= Number(events[0]?.object.metadata.resourceVersion));
    });
    test('options that contradict each other are 422', async () => {
      for (const query of [
        'sendInitialEvents=true&allowWatchBookmarks=true',
        'sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1&allowWatchBookmarks=true',
        'resourceVersion=1&resourceVersionMatch=NotOlderThan',
      ])
        assertRefused(await world.api.get(`${maps}?watch=true&${query}`), 422, 'Invalid');
      assertRefused(await world.api.get(`${maps}?sendInitialEvents=true`), 422, 'Invalid');
    });
    test('an invalid selector is 400', async () => {
      assertRefused(await world.api.get(`${maps}?watch=true&labelSelector=a%20b`), 400, 'BadRequest');
    });
    test('one object can be watched by its name', async () => {
      await world.api.post(widgets, widget('single'));
      const watch = world.api.watch(`${widgets}?watch=true&fieldSelector=metadata.name%3Dsingle`);
      const seen = collect(watch, (events) => events.length === 2);
      await world.api.post(widgets, widget('another'));
      await world.api.mergePatch(`${widgets}/single`, { spec: { size: 9 } });
      assert.deepEqual(
        (await seen).map(({ type, object }) => [type, object.metadata.name]),
        [
          ['ADDED', 'single'],
          ['MODIFIED', 'single'],
        ],
      );
    });
    test('a watch can return Tables or metadata', async () => {
      await world.api.post(widgets, widget('tabled', { size: 1 }, { labels: { suite: 'tabled' } }));
      const first = async (accept: string) =>
        (
          await collect(
            world.api.watch(`${widgets}?watch=true&labelSelector=suite%3Dtabled`, { accept }),
            (seen) => seen.length === 1,
          )
        )[0];
      const table = await first('application/json;as=Table;v=v1;g=meta.k8s.io');
      assert.deepEqual([table?.object.kind, table?.object.rows[0].cells[0]], ['Table', 'tabled']);
      const partial = await first('application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io');
      assert.deepEqual([partial?.object.kind, partial?.object.spec], ['PartialObjectMetadata', undefined]);
    });
  });
}
