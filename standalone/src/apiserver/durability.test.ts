import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, cpSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { KubeObject } from './object.ts';
import { StatusError } from './status.ts';
import { Store } from './storage/store.ts';

const root = mkdtempSync(join(tmpdir(), 'millrace-durable-'));
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
});
const script = fileURLToPath(new URL('./testing/server-process.ts', import.meta.url));
let folders = 0;
const folder = () => join(root, String(folders++));

interface Server {
  child: ChildProcess;
  post(path: string, body: object): Promise<number>;
  names(path: string): Promise<string[]>;
}

const ignore = () => undefined;

async function startProcess(dataDir: string, maxFileBlocks?: number): Promise<Server> {
  // A file size limit simulates a full disk: write(2) fails with EFBIG once SIGXFSZ is ignored (setrlimit(2)).
  const shell = `trap '' XFSZ; ulimit -f ${maxFileBlocks ?? 'unlimited'}; exec "$0" "$@"`;
  const child = spawn('sh', ['-c', shell, process.execPath, script, dataDir], { stdio: ['ignore', 'pipe', 'ignore'] });
  children.add(child);
  child.on('exit', () => children.delete(child));
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const { url, token, ca } = JSON.parse(line) as { url: string; token: string; ca: string };
  const agent = new Agent({ ca, keepAlive: true, maxSockets: 8 });
  const call = (method: string, path: string, body?: object) =>
    new Promise<{ code: number; text: string }>((resolve, reject) => {
      const text = body && JSON.stringify(body);
      const headers = {
        Authorization: `Bearer ${token}`,
        ...(text ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) } : {}),
      };
      const sent = request(new URL(path, url), { method, agent, headers }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => resolve({ code: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
        answer.on('error', reject);
      });
      sent.on('error', reject);
      // The idle connections of a killed server end with a reset, which affects no request.
      sent.on('socket', (socket) => socket.listeners('error').includes(ignore) || socket.on('error', ignore));
      sent.end(text);
    });
  return {
    child,
    post: async (path, body) => (await call('POST', path, body)).code,
    names: async (path) =>
      (JSON.parse((await call('GET', path)).text) as { items: KubeObject[] }).items.map(({ metadata }) => metadata.name),
  };
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
const maps = '/api/v1/namespaces/default/configmaps';
const map = (name: string, bytes = 500) => ({ metadata: { name }, data: { text: 'x'.repeat(bytes) } });

describe('durability', () => {
  test('kill -9 in the middle of writes loses nothing that was acknowledged', { timeout: 60_000 }, async () => {
    const dataDir = folder();
    const acknowledged = new Set<string>();
    for (let round = 0; round < 3; round++) {
      const server = await startProcess(dataDir);
      const present = new Set(await server.names(maps));
      for (const name of acknowledged) assert.ok(present.has(name), `${name} was acknowledged before the kill`);
      const enough = acknowledged.size + 60;
      let next = 0;
      const writers = Array.from({ length: 8 }, async () => {
        while (acknowledged.size < 10_000) {
          const name = `round-${round}-${next++}`;
          const code = await server.post(maps, map(name)).catch(() => 0);
          if (code === 0) return;
          if (code === 201) acknowledged.add(name);
          if (acknowledged.size === enough) server.child.kill('SIGKILL');
        }
      });
      await Promise.all(writers);
    }
    const server = await startProcess(dataDir);
    const present = new Set(await server.names(maps));
    for (const name of acknowledged) assert.ok(present.has(name), `${name} was acknowledged before the kill`);
    await kill(server.child);
  });

  test(
    'on a full disk writes are 507, stored objects stay, and writes succeed when there is room again',
    { timeout: 60_000 },
    async () => {
      const dataDir = folder();
      const small = await startProcess(dataDir, 4096);
      const acknowledged: string[] = [];
      let code = 201;
      for (let index = 0; index < 200 && code === 201; index++) {
        code = await small.post(maps, map(`fill-${index}`, 100_000));
        if (code === 201) acknowledged.push(`fill-${index}`);
      }
      assert.equal(code, 507);
      assert.deepEqual((await small.names(maps)).sort(), [...acknowledged].sort());
      await kill(small.child);
      const roomy = await startProcess(dataDir);
      assert.deepEqual((await roomy.names(maps)).sort(), [...acknowledged].sort());
      assert.equal(await roomy.post(maps, map('after')), 201);
      await kill(roomy.child);
    },
  );

  test('a torn tail of the write-ahead log is dropped, and everything before it stays', async () => {
    const dataDir = folder();
    const server = await startProcess(dataDir);
    for (let index = 0; index < 5; index++) await server.post(maps, map(`torn-${index}`));
    await kill(server.child);
    const wal = join(dataDir, 'objects.sqlite-wal');
    assert.ok(statSync(wal).size > 0);
    appendFileSync(wal, Buffer.alloc(3000, 0xa5));
    const store = new Store(join(dataDir, 'objects.sqlite'));
    assert.equal(store.list('/configmaps').length, 5);
    store.close();
  });

  test('a data directory that is in use is refused', async () => {
    const dataDir = folder();
    const server = await startProcess(dataDir);
    assert.throws(() => new Store(join(dataDir, 'objects.sqlite')), /locked/);
    await kill(server.child);
  });
});

describe('store', () => {
  const object = (name: string, value = '') =>
    ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'a' }, data: { value } }) as unknown as KubeObject;
  const open = (maxHistory?: number) => {
    const dir = mkdtempSync(join(root, 'store-'));
    return { dir, store: new Store(join(dir, 'db'), maxHistory ? { history: { events: maxHistory } } : {}) };
  };
  test('writes of one turn become visible together, in order, with growing revisions', async () => {
    const { store } = open();
    const seen: string[] = [];
    store.subscribe((event) => seen.push(`${event.type} ${event.object.metadata.name}`));
    const writes = [
      store.put('/configmaps', object('x', '1')),
      store.put('/configmaps', object('x', '2')),
      store.put('/configmaps', object('y')),
    ];
    assert.equal(store.get('/configmaps', 'a', 'x'), undefined);
    assert.equal((store.latest('/configmaps', 'a', 'x')?.['data'] as { value: string }).value, '2');
    const revisions = (await Promise.all(writes)).map(({ metadata }) => Number(metadata.resourceVersion));
    assert.deepEqual(
      revisions,
      [...revisions].sort((a, b) => a - b),
    );
    assert.deepEqual(seen, ['ADDED x', 'MODIFIED x', 'ADDED y']);
    store.close();
  });
  test('history is bounded, and revisions before it are 410', async () => {
    const { store } = open(10);
    for (let index = 0; index < 30; index++) await store.put('/configmaps', object(`o-${index}`));
    assert.throws(
      () => store.eventsSince('/configmaps', 2),
      (error) => error instanceof StatusError && error.code === 410,
    );
    assert.equal(store.eventsSince('/configmaps', store.revision - 5).length, 5);
    store.close();
  });
  test('history expires after five minutes: a watch from before is 410, a younger one resumes', async () => {
    let nowMs = 0;
    const store = new Store(join(mkdtempSync(join(root, 'store-')), 'db'), { wall: () => nowMs });
    const revisions: number[] = [];
    for (let second = 0; second < 900; second++, nowMs += 1_000) {
      await store.put('/configmaps', object('one', String(second)));
      revisions.push(store.revision);
    }
    const resumed = (secondsAgo: number) => store.eventsSince('/configmaps', revisions.at(-1 - secondsAgo)!).length;
    assert.equal(resumed(299), 299);
    assert.throws(
      () => resumed(400),
      (error) => error instanceof StatusError && error.code === 410,
    );
    nowMs += 3_600_000;
    await store.put('/configmaps', object('one', 'after a quiet hour'));
    assert.deepEqual(
      store.eventsSince('/configmaps', store.revision - 1).map(({ object: { data } }) => data),
      [{ value: 'after a quiet hour' }],
    );
    store.close();
  });
  test('thirty thousand writes leave a small file and a bounded history', { timeout: 120_000 }, async () => {
    const { dir, store } = open();
    for (let batch = 0; batch < 300; batch++)
      await Promise.all(
        Array.from({ length: 100 }, (_, index) => store.put('/configmaps', object(`o-${index}`, `${batch}`.repeat(300)))),
      );
    assert.throws(() => store.eventsSince('/configmaps', store.revision - 12_001));
    assert.ok(store.eventsSince('/configmaps', store.revision - 10_000).length === 10_000);
    const bytes = ['db', 'db-wal'].map((name) => statSync(join(dir, name)).size).reduce((sum, size) => sum + size, 0);
    // 100 objects of about 1 KiB; the write-ahead log is reused from 1,000 pages of 4 KiB on.
    assert.ok(bytes < 8 * 2 ** 20, `${bytes} bytes`);
    store.close();
  });
  test('revisions continue after a restart, and watches from before it are 410', async () => {
    const { dir, store } = open();
    await store.put('/configmaps', object('kept'));
    const before = store.revision;
    store.close();
    const copy = mkdtempSync(join(root, 'copy-'));
    cpSync(dir, copy, { recursive: true });
    const again = new Store(join(copy, 'db'));
    assert.equal(again.revision, before);
    assert.equal(again.list('/configmaps').length, 1);
    assert.throws(
      () => again.eventsSince('/configmaps', before - 1),
      (error) => error instanceof StatusError && error.code === 410,
    );
    again.close();
  });
});
