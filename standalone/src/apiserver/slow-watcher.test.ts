import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { after, before, describe, test } from 'node:test';
import { collect } from '@millrace/kube-conformance';
import { ApiUnderTest } from './testing/api-under-test.ts';

let api: ApiUnderTest;
const maps = '/api/v1/namespaces/default/configmaps';
const map = (name: string, bytes: number, labels: object = {}) => ({
  metadata: { name, labels },
  data: { text: 'x'.repeat(bytes) },
});
before(async () => {
  api = await ApiUnderTest.start();
});
after(() => api.stop());

/** Opens a watch and never reads from it. */
async function watchWithoutReading(): Promise<IncomingMessage> {
  const options = { rejectUnauthorized: false, agent: false, headers: { authorization: `Bearer ${api.token}` } };
  const sent = request(new URL(`${maps}?watch=true&labelSelector=suite%3Dslow`, api.url), options);
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response.pause().on('error', () => undefined);
}

describe('slow watchers', { timeout: 60_000 }, () => {
  test('are disconnected; until then they cost the server almost nothing, and others are served', async () => {
    await api.post(maps, map('changing', 50_000, { suite: 'slow' }));
    const slow = await Promise.all(Array.from({ length: 20 }, watchWithoutReading));
    let cut = 0;
    for (const response of slow) response.socket.once('close', () => cut++);
    const quick = collect(api.watch(`${maps}?watch=true&labelSelector=suite%3Dslow`), (seen) =>
      seen.some(({ object }) => object.metadata.labels.last === 'yes'),
    );
    const before = process.memoryUsage();
    // 1,300 changes of 50 kB to each of 20 watchers would be 1.3 GB.
    for (let index = 0; index < 1_300; index++)
      await api.mergePatch(`${maps}/changing?fieldValidation=Ignore`, { metadata: { annotations: { index: String(index) } } });
    const { rss, external } = process.memoryUsage();
    await api.mergePatch(`${maps}/changing`, { metadata: { labels: { last: 'yes' } } });
    assert.ok((await quick).length >= 1_300);
    assert.ok(rss - before.rss < 400 * 2 ** 20, `${(rss - before.rss) / 2 ** 20} MiB more resident memory`);
    assert.ok(external - before.external < 100 * 2 ** 20, `${(external - before.external) / 2 ** 20} MiB more in buffers`);
    for (const response of slow) response.resume();
    for (let tries = 0; tries < 100 && cut < slow.length; tries++) await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(cut, slow.length);
  });

  test('a watch can begin with a state larger than any buffer', async () => {
    for (let index = 0; index < 30; index++) await api.post(maps, map(`large-${index}`, 900_000, { suite: 'large' }));
    const events = await collect(api.watch(`${maps}?watch=true&labelSelector=suite%3Dlarge`), (seen) => seen.length === 30);
    assert.equal(events.length, 30);
  });
});
