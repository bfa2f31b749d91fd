import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));

/** Processes whose parent is `pid`. */
async function childrenOf(pid: number): Promise<number[]> {
  const entries = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(entries.map((name) => readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')));
  return stats.flatMap((stat) => {
    const parent = Number(/\) \S (\d+)/.exec(stat)?.[1]);
    return parent === pid ? [Number.parseInt(stat)] : [];
  });
}

/** A worker ends when its node's end of the pipe closes, and its entry when it has been reaped: within 5 s on a loaded machine. */
async function isGoneSoon(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 50; tries++) {
    const isThere = await readFile(`/proc/${pid}/stat`).then(
      () => true,
      () => false,
    );
    if (!isThere) return true;
    await delay(100);
  }
  return false;
}

describe('a media node whose port is taken', { timeout: 120_000 }, () => {
  const cases = [
    { setting: 'MILLRACE_SIGNALING_PORT', udp: false },
    { setting: 'MILLRACE_OPS_PORT', udp: false },
    { setting: 'MILLRACE_TRUNK_PORT', udp: true },
    { setting: 'MILLRACE_MEDIA_PORT', udp: true },
  ];
  for (const { setting, udp } of cases) {
    test(`${setting}: ends with 1 and one line that names setting and remedy; nothing of it stays`, async (t) => {
      const stateDir = await mkdtemp(join(tmpdir(), 'millrace-taken-'));
      t.after(() => rm(stateDir, { recursive: true, force: true }));
      const holder = udp ? createSocket('udp4') : createServer();
      if ('bind' in holder) holder.bind(0, '127.0.0.1');
      else holder.listen(0, '127.0.0.1');
      await once(holder, 'listening');
      t.after(() => void holder.close());
      const { port } = holder.address() as AddressInfo;
      const env = {
        ...process.env,
        MILLRACE_NODE_NAME: 'taken',
        MILLRACE_REGION: 'here',
        MILLRACE_CONTROL_URL: 'ws://127.0.0.1:1/v1/agent',
        MILLRACE_STATE_DIR: stateDir,
        MILLRACE_HOST_IPS: '127.0.0.1',
        MILLRACE_MEDIA_PORT: '0',
        MILLRACE_TRUNK_PORT: '0',
        MILLRACE_SIGNALING_PORT: '0',
        MILLRACE_OPS_PORT: '0',
        [setting]: String(port),
      };
      const node = spawn(process.execPath, [main], { env, stdio: ['ignore', 'pipe', 'pipe'] });
      const seen = new Set<number>();
      let stderr = '';
      node.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
      const watch = setInterval(() => void childrenOf(node.pid!).then((pids) => pids.forEach((pid) => seen.add(pid))), 50);
      const [code] = (await once(node, 'close')) as [number];
      clearInterval(watch);
      assert.equal(code, 1, stderr);
      assert.match(stderr, new RegExp(`cannot listen on (UDP )?127\\.0\\.0\\.1:${port}\\b.*${setting}`), stderr);
      for (const pid of seen) assert.ok(await isGoneSoon(pid), `process ${pid} of the node is still there`);
    });
  }
});
