import { test } from 'node:test';
import assert from 'node:assert/strict';
import { staleFiles } from './main.ts';

test('types, CRD definitions and reference pages are as crds/*.yaml says', async () => {
  assert.deepEqual(await staleFiles(), [], 'run `npm run generate`');
});
