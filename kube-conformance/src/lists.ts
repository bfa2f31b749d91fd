import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { World } from './world.ts';
import { assertRefused, configMap, namesOf, pod, widget } from './world.ts';

const tooLarge = '999999999999';

/** "API concepts": retrieving large results sets in chunks, resource versions; "Labels and Selectors", "Field Selectors". */
export function lists(world: World): void {
  const { maps, pods, widgets } = world;
  before(async () => {
    for (let index = 0; index < 7; index++) {
      const labels = {
        suite: 'list',
        parity: index % 2 ? 'odd' : 'even',
        rank: String(index),
        ...(index === 3 ? { special: '' } : {}),
      };
      await world.api.post(maps, configMap(`list-${index}`, {}, { labels }));
    }
  });
  const select = (selector: string) => world.api.get(`${maps}?labelSelector=${encodeURIComponent(selector)}`);
  const all = ['list-0', 'list-1', 'list-2', 'list-3', 'list-4', 'list-5', 'list-6'];

  describe('selectors', () => {
    test('labels: equality, inequality, sets, existence, comparison', async () => {
      assert.deepEqual(namesOf(await select('suite=list,parity=odd')), ['list-1', 'list-3', 'list-5']);
      assert.deepEqual(namesOf(await select('suite==list, parity != odd')), ['list-0', 'list-2', 'list-4', 'list-6']);
      assert.deepEqual(namesOf(await select('suite in (list,other),special')), ['list-3']);
      assert.deepEqual(namesOf(await select('special=')), ['list-3']);
      assert.equal(namesOf(await select('suite,!special')).length, 6);
      assert.equal(namesOf(await select('suite=list,parity notin (odd, none)')).length, 4);
      assert.ok(namesOf(await select('parity notin (odd)')).length > 4, 'objects without the label count');
      assert.deepEqual(namesOf(await select('suite=list,rank>4')), ['list-5', 'list-6']);
      assert.deepEqual(namesOf(await select('suite=list,rank<1')), ['list-0']);
      assert.equal(namesOf(await select('')).length >= 7, true);
    });
    test('invalid label selectors are 400', async () => {
      for (const selector of ['a b c', 'a in b', 'a=b=c', 'a in (b', '!', 'a>b', 'a=not valid!', 'bad key!=x'])
        assertRefused(await select(selector), 400, 'BadRequest');
    });
    test('fields: name, those of built-in kinds, selectableFields of a CRD; any other field is 400', async () => {
      assert.deepEqual(namesOf(await world.api.get(`${maps}?fieldSelector=metadata.name%3Dlist-2`)), ['list-2']);
      assert.equal(namesOf(await world.api.get(`${maps}?labelSelector=suite&fieldSelector=metadata.name!%3Dlist-2`)).length, 6);
      const anywhere = `/api/v1/configmaps?fieldSelector=metadata.namespace%3D${world.namespace},metadata.name%3Dlist-2`;
      assert.deepEqual(namesOf(await world.api.get(anywhere)), ['list-2']);
      assertRefused(await world.api.get(`${maps}?fieldSelector=data.x%3D1`), 400, 'BadRequest', /data\.x/);
      assertRefused(await world.api.get(`${maps}?fieldSelector=metadata.name`), 400, 'BadRequest');
      await world.api.post(widgets, widget('north', { size: 1, region: 'north' }));
      assert.deepEqual(namesOf(await world.api.get(`${widgets}?fieldSelector=spec.region%3Dnorth`)), ['north']);
      assertRefused(await world.api.get(`${widgets}?fieldSelector=spec.size%3D1`), 400, 'BadRequest');
      await world.api.post(pods, pod('listed'));
      const pending = await world.api.get(`${pods}?fieldSelector=status.phase%3DPending,spec.nodeName%3D`);
      assert.ok(namesOf(pending).includes('listed'));
    });
  });

  describe('lists', () => {
    test('have the kind of their items, and exist across all namespaces', async () => {
      const { body } = await world.api.get(widgets);
      assert.deepEqual([body.kind, body.apiVersion], ['WidgetList', 'conformance.test/v1']);
      assert.ok(Number(body.metadata.resourceVersion) > 0);
      const everywhere = await world.api.get(
        `/api/v1/configmaps?labelSelector=suite%3Dlist&fieldSelector=metadata.namespace%3D${world.namespace}`,
      );
      assert.deepEqual(namesOf(everywhere), all);
    });
    test('limit and continue give one consistent list in pages, whatever changes meanwhile', async () => {
      const suite = `${maps}?labelSelector=suite%3Dlist`;
      const first = await world.api.get(`${suite}&limit=3`);
      assert.equal(first.body.items.length, 3);
      assert.equal(first.body.metadata.remainingItemCount, undefined, 'with a selector there is no remaining count');
      await world.api.del(`${maps}/list-6`);
      await world.api.post(maps, configMap('list-5b', {}, { labels: { suite: 'list' } }));
      const token = encodeURIComponent(first.body.metadata.continue as string);
      const second = await world.api.get(`${suite}&limit=3&continue=${token}`);
      const last = await world.api.get(
        `${suite}&limit=3&continue=${encodeURIComponent(second.body.metadata.continue as string)}`,
      );
      assert.deepEqual([first, second, last].flatMap(namesOf), all);
      for (const { body } of [second, last]) assert.equal(body.metadata.resourceVersion, first.body.metadata.resourceVersion);
      assert.equal(last.body.metadata.continue ?? '', '');
      await world.api.del(`${maps}/list-5b`);
      await world.api.post(maps, configMap('list-6', {}, { labels: { suite: 'list', parity: 'even', rank: '6' } }));
    });
    test('without a selector the remaining items are counted', async () => {
      const { body: whole } = await world.api.get(maps);
      const { body: page } = await world.api.get(`${maps}?limit=2`);
      assert.equal(page.metadata.remainingItemCount, whole.items.length - 2);
      assert.equal((await world.api.get(`${maps}?limit=5000`)).body.metadata.remainingItemCount, undefined);
    });
    test('an invalid continue token is 400, and so is one together with a resourceVersion', async () => {
      assertRefused(await world.api.get(`${maps}?limit=1&continue=rubbish`), 400, 'BadRequest');
      const { body } = await world.api.get(`${maps}?limit=1`);
      const token = encodeURIComponent(body.metadata.continue as string);
      const { resourceVersion } = body.metadata;
      assertRefused(
        await world.api.get(`${maps}?limit=1&continue=${token}&resourceVersion=${resourceVersion}`),
        400,
        'BadRequest',
      );
    });
  });

  describe('resource versions', () => {
    const suite = `${maps}?labelSelector=suite%3Dversions`;
    test('unset is the newest state, 0 any, NotOlderThan at least that old, Exact that one', async () => {
      const { body: one } = await world.api.post(maps, configMap('versions-1', {}, { labels: { suite: 'versions' } }));
      const { resourceVersion } = one.metadata;
      await world.api.post(maps, configMap('versions-2', {}, { labels: { suite: 'versions' } }));
      assert.equal(namesOf(await world.api.get(suite)).length, 2);
      assert.equal((await world.api.get(`${suite}&resourceVersion=0`)).code, 200);
      const fresh = await world.api.get(`${suite}&resourceVersion=${resourceVersion}&resourceVersionMatch=NotOlderThan`);
      assert.ok(namesOf(fresh).includes('versions-1'));
      assert.ok(Number(fresh.body.metadata.resourceVersion) >= Number(resourceVersion));
      const exact = await world.api.get(`${suite}&resourceVersion=${resourceVersion}&resourceVersionMatch=Exact`);
      assert.deepEqual(namesOf(exact), ['versions-1']);
      assert.equal(exact.body.metadata.resourceVersion, resourceVersion);
      await world.api.mergePatch(`${maps}/versions-1`, { data: { a: 'b' } });
      await world.api.del(`${maps}/versions-2`);
      const still = await world.api.get(`${suite}&resourceVersion=${resourceVersion}&resourceVersionMatch=Exact`);
      assert.deepEqual(still.body.items[0].metadata, one.metadata);
    });
    test('Exact can be combined with limit, and pages stay at that version', async () => {
      const { body: list } = await world.api.get(`${maps}?labelSelector=suite%3Dlist`);
      const at = `resourceVersion=${list.metadata.resourceVersion}&resourceVersionMatch=Exact`;
      await world.api.post(maps, configMap('list-9', {}, { labels: { suite: 'list' } }));
      const first = await world.api.get(`${maps}?labelSelector=suite%3Dlist&limit=4&${at}`);
      const token = encodeURIComponent(first.body.metadata.continue as string);
      const second = await world.api.get(`${maps}?labelSelector=suite%3Dlist&limit=4&continue=${token}`);
      await world.api.del(`${maps}/list-9`);
      assert.deepEqual([...namesOf(first), ...namesOf(second)], all);
    });
    test('of the future are 504 with the cause that makes clients retry', async () => {
      for (const path of [
        `${maps}?resourceVersion=${tooLarge}&resourceVersionMatch=NotOlderThan`,
        `${maps}?resourceVersion=${tooLarge}`,
        `${maps}/list-1?resourceVersion=${tooLarge}`,
      ]) {
        const answer = await world.api.get(path);
        assertRefused(answer, 504, 'Timeout', /Too large resource version/);
        assert.deepEqual(answer.body.details.causes, [
          { reason: 'ResourceVersionTooLarge', message: 'Too large resource version' },
        ]);
        assert.equal(answer.body.details.retryAfterSeconds, 1);
      }
    });
    test('resourceVersionMatch without a resourceVersion, with an unknown value, or Exact at 0 is 422', async () => {
      for (const query of [
        'resourceVersionMatch=Exact',
        'resourceVersion=1&resourceVersionMatch=Near',
        'resourceVersion=0&resourceVersionMatch=Exact',
      ])
        assertRefused(await world.api.get(`${maps}?${query}`), 422, 'Invalid');
    });
  });
}
