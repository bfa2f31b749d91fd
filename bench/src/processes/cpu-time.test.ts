import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { childrenOf, cpuSecondsOf, isAlive, parseStat } from './cpu-time.ts';

test('a command with spaces and parentheses does not shift the fields', () => {
  const fields = ['S', 41, 1, 1, 0, -1, 0, 0, 0, 0, 0, 250, 150, 9, 9, 20, 0, 1, 0, 77];
  assert.deepEqual(parseStat(`42 (a (b) c) ${fields.join(' ')}\n`), { state: 'S', parent: 41, cpuSeconds: 4 });
});

test('text that is not a stat file is rejected', () => {
  assert.throws(() => parseStat(''), /no process statistics/);
});

test('work of this process shows in its CPU time', () => {
  const before = cpuSecondsOf(process.pid);
  const used = process.cpuUsage();
  while (process.cpuUsage(used).user + process.cpuUsage(used).system < 60_000);
  assert.ok(cpuSecondsOf(process.pid) - before >= 0.04);
});

test('a child is found below its parent', async () => {
  const child = spawn('sleep', ['30']);
  await once(child, 'spawn');
  assert.ok(childrenOf(process.pid).includes(child.pid!));
  assert.ok(isAlive(child.pid!));
  child.kill();
  await once(child, 'exit');
  assert.ok(!isAlive(child.pid!));
});
