import { test } from 'node:test';
import assert from 'node:assert/strict';
import { staleFiles } from './main.ts';

test('what is generated is as its sources say: types, CRD definitions, reference pages, OpenAPI documents, the access table', async () => {
  assert.deepEqual(await staleFiles(), [], 'run `npm run generate`');
});
