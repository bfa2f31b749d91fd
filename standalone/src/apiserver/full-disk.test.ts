import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SmallDisk } from '../testing/small-disk.ts';
import type { WatchEvent } from '@millrace/kube-conformance';
import { ApiClient } from '@millrace/kube-conformance';

const script = fileURLToPath(new URL('./testing/server-process.ts', import.meta.url));
const maps = '/api/v1/namespaces/default/configmaps';
const map = (name: string, bytes = 1_000) => ({ metadata: { name }, data: { text: 'x'.repeat(bytes) } });
const disk = await SmallDisk.create(16 * 1024 * 1024);

describe('the store on a full disk', { skip: disk ? false : 'this user may make no mount namespace', timeout: 60_000 }, () => {
  let server: ChildProcess;
  let api: ApiClient;
  const start = async () => {
    const [program, ...args] = disk?.inside([process.execPath, script, disk.path]) ?? [''];
    server = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const [line] = (await once(createInterface({ input: server.stdout as NodeJS.ReadableStream }), 'line')) as [string];
    api = new ApiClient((JSON.parse(line) as { kubeconfig: string }).kubeconfig);
  };
  const kill = async () => {
    api.close();
    const gone = once(server, 'exit');
    server.kill('SIGKILL');
    await gone;
  };
  before(start);
  after(async () => {
    await kill();
    disk?.remove();
  });
  const names = async () =>
    ((await api.get(maps)).body.items as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);

  test('writes are 507 with the reason, reads and watches continue, and writes succeed when there is room again', async () => {
    const acknowledged = new Set<string>();
    const post = async (name: string, bytes?: number): Promise<number> => {
      const { code, body } = await api.post(maps, map(name, bytes));
      if (code === 201) acknowledged.add(name);
      else assert.match(String(body.message), /disk that holds the data directory is full .*free space and retry/);
      return code;
    };
    const seen: WatchEvent[] = [];
    const watch = api.watch(`${maps}?watch=true&resourceVersion=${(await api.get(maps)).body.metadata.resourceVersion}`);
    const watching = (async () => {
      for await (const event of watch) if (seen.push(event) && event.object.metadata.name === 'last') return;
    })();
    assert.equal(await post('first'), 201);

    const free = disk?.fill();
    // The last page of the write-ahead log may still have room for a few writes.
    const codes: number[] = [];
    for (let index = 0; index < 300 && codes.at(-1) !== 507; index++) codes.push(await post(`fill-${index}`, 20_000));
    assert.equal(codes.at(-1), 507);
    const many = await Promise.all(Array.from({ length: 20 }, (_, index) => post(`many-${index}`, 20_000)));
    assert.ok(many.includes(507));
    assert.deepEqual((await names()).sort(), [...acknowledged].sort());
    assert.equal((await api.mergePatch(`${maps}/first`, { data: { text: 'y'.repeat(20_000) } })).code, 507);
    assert.equal((await api.get(`${maps}/first`)).body.data.text[0], 'x');

    free?.();
    assert.equal(await post('last'), 201);
    await watching;
    assert.deepEqual(new Set(seen.map(({ object }) => object.metadata.name as string)), acknowledged);
    const versions = seen.map(({ object }) => Number(object.metadata.resourceVersion));
    assert.deepEqual(
      versions,
      [...versions].sort((a, b) => a - b),
    );

    await kill();
    await start();
    assert.deepEqual((await names()).sort(), [...acknowledged].sort());
  });

  test('a start on a full disk fails with the reason', async () => {
    await kill();
    const free = disk?.fill();
    const [program, ...args] = disk?.inside([process.execPath, script, `${disk.path}/new`]) ?? [''];
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let told = '';
    child.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()));
    assert.notEqual((await once(child, 'exit'))[0], 0);
    assert.match(told, /disk is full|no space left|database or disk is full/i);
    free?.();
    await start();
  });
});
