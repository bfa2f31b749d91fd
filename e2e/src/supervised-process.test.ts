import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startProcess } from './supervised-process.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-process-'));
});
after(() => rm(folder, { recursive: true }));

const isRunning = async (pid: number): Promise<boolean> => {
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return state !== '' && !/\) [ZX] /.test(state);
};

test('a program ends with the process that started it, even when that is killed', async () => {
  const module = JSON.stringify(import.meta.resolve('./supervised-process.ts'));
  const program = `import { startProcess } from ${module};
    const child = await startProcess('sleep', ['300'], ${JSON.stringify(join(folder, 'sleep.log'))});
    console.log(child.pid);
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  assert.equal(await isRunning(pid), true);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  for (let i = 0; i < 100 && (await isRunning(pid)); i++) await delay(50);
  assert.equal(await isRunning(pid), false);
});

test('stop ends a program that ignores SIGTERM, after the grace period', async () => {
  const log = join(folder, 'stubborn.log');
  const child = await startProcess('sh', ['-c', 'trap "" TERM; echo trapped; while :; do sleep 0.1; done'], log);
  while (!(await readFile(log, 'utf8')).includes('trapped')) await delay(10);
  await child.stop(100);
  assert.match(child.ended() ?? '', /sh ended with SIGKILL:\ntrapped/);
});
