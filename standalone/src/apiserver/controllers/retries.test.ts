import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '@millrace/service';
import { alreadyExists, storageFull } from '../status.ts';
import { Retries } from './retries.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

test('work that cannot be stored is retried until it can', async () => {
  const retries = new Retries(logger, 1);
  let tries = 0;
  await new Promise<void>((resolve) =>
    retries.run('work', async () => {
      if (++tries < 4) throw storageFull();
      resolve();
    }),
  );
  assert.equal(tries, 4);
});

test('work that others did meanwhile is not repeated, and nothing runs after the end', async () => {
  const retries = new Retries(logger, 1);
  let tries = 0;
  retries.run('done by others', async () => {
    tries++;
    throw alreadyExists({ group: '', plural: 'pods', kind: 'Pod' }, 'p');
  });
  retries.run('ended', async () => {
    tries++;
    throw storageFull();
  });
  await new Promise((resolve) => setImmediate(resolve));
  retries.stop();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(tries, 2);
});
