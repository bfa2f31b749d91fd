import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ending } from './ending.ts';

test('cleanups run once each in reverse order, whether called early or at the end', async () => {
  const undone: string[] = [];
  const ending = new Ending();
  ending.add(() => undone.push('network'));
  const closeBrowser = ending.add(() => undone.push('browser'));
  ending.add(() => undone.push('stream'));
  await closeBrowser();
  await Promise.all([ending.end(), ending.end()]);
  assert.deepEqual(undone, ['browser', 'stream', 'network']);
});
