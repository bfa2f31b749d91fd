import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { StateDir } from './state-dir.ts';

const root = mkdtempSync(join(tmpdir(), 'millrace-state-'));
after(() => rmSync(root, { recursive: true, force: true }));
const use = {
  consoleUrl: 'http://127.0.0.1:7000',
  controlUrl: 'http://127.0.0.1:7080',
  kubeconfig: '/a/kubeconfig',
  edges: [{ name: 'one', region: 'here', roles: ['push'] }],
};

test('a folder belongs to one network: a second one learns which, and how to use it once it has started', () => {
  const path = join(root, 'one', 'deep');
  const dir = new StateDir(path);
  assert.equal(dir.running(), undefined);
  assert.equal(dir.claim(), undefined);
  const second = new StateDir(path);
  assert.equal(second.claim()?.pid, process.pid);
  assert.equal(second.claim()?.use, undefined);
  dir.publish(use);
  assert.deepEqual(second.claim()?.use, use);
  dir.forget();
  assert.equal(second.claim(), undefined);
});

for (const [what, record] of [
  ['was killed', { pid: process.pid, startTicks: '1', use }],
  ['left half a record', undefined],
] as const)
  test(`the folder of a network that ${what} is free`, () => {
    const path = mkdtempSync(join(root, 'killed-'));
    writeFileSync(join(path, 'owner.json'), record ? JSON.stringify(record) : '{"pid":');
    const dir = new StateDir(path);
    assert.equal(dir.running(), undefined);
    assert.equal(dir.claim(), undefined);
    assert.equal((JSON.parse(readFileSync(join(path, 'owner.json'), 'utf8')) as { pid: number }).pid, process.pid);
  });

test('a folder that cannot be created is reported with its path and the variable that chooses another', () => {
  writeFileSync(join(root, 'file'), '');
  assert.throws(() => new StateDir(join(root, 'file', 'state')).claim(), /file\/state.*MILLRACE_STATE_DIR=/);
});
