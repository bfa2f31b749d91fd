import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maxItemsOf } from './crd-bounds.ts';
import { mediaNodeCrd } from './crds/definitions/index.ts';

test('the bound of a list is found by its path, also within the items of another list', () => {
  assert.equal(maxItemsOf(mediaNodeCrd, 'spec.routes'), 500);
  assert.equal(maxItemsOf(mediaNodeCrd, 'spec.routes[].paths'), 4);
  assert.equal(maxItemsOf(mediaNodeCrd, 'spec.routes[].paths[].hops'), 16);
});

test('a path that names no bounded list is a fault of the caller', () => {
  assert.throws(() => maxItemsOf(mediaNodeCrd, 'spec.nothing'), /MediaNode spec\.nothing is not a list with maxItems/);
  assert.throws(() => maxItemsOf(mediaNodeCrd, 'spec.region'), /is not a list/);
});
