import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AGENT_MAX_MESSAGE_BYTES, AGENT_PAGE_ITEMS, helloPages, pagesOf, programPages, type Hello } from './index.ts';

describe('Pages of the agent channel', () => {
  test('hold every item once, in order, within the bounds of a message', () => {
    const items = fc.array(fc.integer({ min: 0, max: 400_000 }), { maxLength: 60 });
    fc.assert(
      fc.property(items, fc.integer({ min: 0, max: 3 * AGENT_PAGE_ITEMS }), (sizes, small) => {
        const all = [
          ...sizes.map((size, id) => ({ id, text: 'é'.repeat(size) })),
          ...Array.from({ length: small }, (_, id) => id),
        ];
        const pages = pagesOf<unknown>(all);
        assert.deepEqual(pages.flat(), all);
        for (const page of pages) {
          assert.ok(page.length <= AGENT_PAGE_ITEMS);
          assert.ok(Buffer.byteLength(JSON.stringify(page)) < AGENT_MAX_MESSAGE_BYTES / 2);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('all but the last say that more follow', () => {
    const streams = Array.from({ length: 2 * AGENT_PAGE_ITEMS + 1 }, (_, i) => `live/s${i}`);
    const hello = { type: 'hello', publications: [], subscriptions: streams } as unknown as Hello;
    const pages = helloPages(hello);
    assert.deepEqual(
      pages.map(({ type, more, subscriptions }) => [type, more, subscriptions.length]),
      [
        ['hello', true, AGENT_PAGE_ITEMS],
        ['holds', true, AGENT_PAGE_ITEMS],
        ['holds', undefined, 1],
      ],
    );
    assert.deepEqual(helloPages({ ...hello, subscriptions: ['live/a'] }), [{ ...hello, subscriptions: ['live/a'] }]);
    const changes = programPages({ type: 'streams', base: 1, version: 2, full: false, changed: [], removed: streams });
    assert.deepEqual(
      changes.map((page) => [page.type, page.version, page.more]),
      [
        ['streams', 2, true],
        ['more-streams', 2, true],
        ['more-streams', 2, undefined],
      ],
    );
  });
});
