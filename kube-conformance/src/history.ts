import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { collect } from './api-client.ts';
import type { World } from './world.ts';
import { assertRefused, configMap, namesOf } from './world.ts';

/** "API concepts": 410 Gone responses. Runs last, since it makes the API forget earlier revisions. */
export function history(world: World): void {
  const { maps } = world;
  describe('expired revisions', () => {
    test('are 410 for watches, exact lists and continue tokens; a new token continues an inconsistent list', async () => {
      for (const name of ['old-1', 'old-2', 'old-3'])
        await world.api.post(maps, configMap(name, {}, { labels: { suite: 'old' } }));
      const { body: page } = await world.api.get(`${maps}?labelSelector=suite%3Dold&limit=1`);
      const { body: before } = await world.api.post(maps, configMap('before'));
      await world.api.post(maps, configMap('after'));
      await world.target.forgetHistory();
      await world.eventually(`${maps}/after`, ({ code }) => code === 200);
      const version = before.metadata.resourceVersion as string;

      const events = await collect(world.api.watch(`${maps}?watch=true&resourceVersion=${version}`), (seen) => seen.length === 1);
      assert.equal(events[0]?.type, 'ERROR');
      const { kind, code, reason } = events[0].object;
      assert.deepEqual([kind, code, reason], ['Status', 410, 'Expired']);

      assertRefused(await world.api.get(`${maps}?resourceVersion=${version}&resourceVersionMatch=Exact`), 410, 'Expired');

      await world.api.del(`${maps}/old-2`);
      const token = encodeURIComponent(page.metadata.continue as string);
      const expired = await world.api.get(`${maps}?labelSelector=suite%3Dold&limit=5&continue=${token}`);
      assertRefused(expired, 410, 'Expired', /continue parameter is too old/);
      const inconsistent = encodeURIComponent(expired.body.metadata.continue as string);
      const rest = await world.api.get(`${maps}?labelSelector=suite%3Dold&limit=5&continue=${inconsistent}`);
      assert.deepEqual(namesOf(rest), ['old-3']);
    });
  });
}
