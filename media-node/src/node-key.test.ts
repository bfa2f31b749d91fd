import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { quietLogger } from '@millrace/testkit';
import { loadNodeKey } from './node-key.ts';
import { Identity } from './trunk/index.ts';

describe('The key of a node', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-node-key-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test('is made at the first start, for the node alone to read, and stays', async () => {
    const state = join(folder, 'state');
    const { logger, lines } = quietLogger();
    const first = await loadNodeKey(state, logger);
    assert.equal((await stat(join(state, 'node-key'))).mode & 0o777, 0o600);
    assert.deepEqual(await loadNodeKey(state, logger), first);
    assert.equal(new Identity(Buffer.from(first.seed, 'base64')).publicKey.toString('base64'), first.publicKey);
    assert.deepEqual(lines, []);
  });

  test('is made anew when the file holds something else, and the log says so without its content', async () => {
    const path = join(folder, 'node-key');
    await writeFile(path, 'c2VjcmV0');
    const { logger, lines } = quietLogger();
    const { seed } = await loadNodeKey(folder, logger);
    assert.equal(await readFile(path, 'utf8'), seed);
    assert.match(lines[0]!.msg, /not one: a new one/);
    assert.ok(!JSON.stringify(lines).includes('c2VjcmV0'));
  });

  test('works without a place to keep it, with a warning', async () => {
    const { logger, lines } = quietLogger();
    const { publicKey } = await loadNodeKey(join(folder, 'node-key', 'below-a-file'), logger);
    assert.equal(Buffer.from(publicKey, 'base64').length, 32);
    assert.match(lines.at(-1)!.msg, /cannot be kept/);
  });
});
