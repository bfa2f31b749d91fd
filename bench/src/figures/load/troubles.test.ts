import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { troubleOf, troublesOf } from './troubles.ts';

const line = (level: string, msg: string, err?: object) =>
  JSON.stringify({ level, service: 'control', msg, ...(err && { err }) });

test('warnings, errors and lines that are not JSON count; other lines do not', () => {
  assert.equal(troubleOf(line('info', 'started')), undefined);
  assert.equal(troubleOf(''), undefined);
  assert.equal(troubleOf(line('warn', 'late', { message: 'timeout' })), 'control, warn: late; timeout');
  assert.match(troubleOf(line('error', 'broke', { message: 'm', stack: 'Error: m\n    at f (a.ts:1)' }))!, /at f \(a\.ts:1\)$/);
  assert.equal(troubleOf('Segmentation fault'), 'Segmentation fault');
});

test('equal messages of all logs in a folder are counted, including rotated logs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'troubles-'));
  try {
    writeFileSync(join(folder, 'a.log'), `${line('warn', 'x')}\n${line('warn', 'y')}\n`);
    writeFileSync(join(folder, 'a.log.1'), `${line('warn', 'x')}\n`);
    writeFileSync(join(folder, 'a.json'), 'not a log');
    assert.deepEqual(troublesOf(folder), ['2 x control, warn: x', '1 x control, warn: y']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
