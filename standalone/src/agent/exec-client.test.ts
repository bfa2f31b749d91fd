import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { after, test } from 'node:test';
import { ExecClient } from './exec-client.ts';

const client = new ExecClient();
after(() => client.close());
const run = (script: string, timeoutMs = 10_000) =>
  client.run({ argv: ['sh', '-c', script], env: { PATH: process.env['PATH'] ?? '', FILE: '/etc' }, cwd: tmpdir(), timeoutMs });

test('commands succeed or fail by their exit status, each with its own environment and folder', async () => {
  const verdicts = await Promise.all([run('test -d "$FILE"'), run('exit 3'), run(`test "$PWD" = ${tmpdir()}`)]);
  assert.deepEqual(verdicts, [true, false, true]);
});

test('a command that outlives its timeout, and one that does not exist, fail', async () => {
  const none = client.run({ argv: ['/nowhere/program'], env: {}, cwd: tmpdir(), timeoutMs: 1_000 });
  assert.deepEqual(await Promise.all([run('sleep 30', 50), none]), [false, false]);
});

test('when the executing process is killed, pending commands fail and later ones run in a new process', async () => {
  assert.equal(await run('kill -9 $PPID; sleep 1'), false);
  assert.equal(await run('true'), true);
});
