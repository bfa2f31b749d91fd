import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startTestServer } from './testing/api-under-test.ts';

const root = mkdtempSync(join(tmpdir(), 'millrace-start-'));
after(() => rmSync(root, { recursive: true, force: true }));

test('a server that cannot listen closes its store, so that the next one can open it', async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const dataDir = join(root, 'taken');
  await assert.rejects(startTestServer(dataDir, { port: (holder.address() as AddressInfo).port }), /EADDRINUSE/);
  await (await startTestServer(dataDir)).close();
  await new Promise((resolve) => holder.close(resolve));
});

test('a store that is damaged or not writable is reported with its file and the remedy', async () => {
  const dataDir = join(root, 'damaged');
  mkdirSync(dataDir);
  writeFileSync(join(dataDir, 'objects.sqlite'), 'this is no database, and long enough to look like one'.repeat(100));
  await assert.rejects(
    startTestServer(dataDir),
    /damaged\/objects\.sqlite: file is not a database\. The file is damaged: restore it/,
  );
  mkdirSync(join(root, 'folder', 'objects.sqlite'), { recursive: true });
  await assert.rejects(startTestServer(join(root, 'folder')), /cannot open the store .*EISDIR/);
});
