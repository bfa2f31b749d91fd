import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LogFile } from './log-file.ts';

test('a log never exceeds twice its size, keeps the newest lines, and is readable only by its owner', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-log-'));
  try {
    const log = new LogFile(join(folder, 'logs', 'a.log'), 1_000);
    for (let i = 0; i < 1_000; i++) log.write(Buffer.from(`line ${i}\n`));
    const files = readdirSync(join(folder, 'logs')).map((name) => statSync(join(folder, 'logs', name)));
    assert.equal(files.length, 2);
    assert.ok(files.reduce((sum, { size }) => sum + size, 0) <= 2_000);
    assert.ok(files.every(({ mode }) => (mode & 0o777) === 0o600));
    assert.equal(statSync(join(folder, 'logs')).mode & 0o777, 0o700);
    assert.equal(log.read(2), 'line 998\nline 999\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
