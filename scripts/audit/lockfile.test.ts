import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { auditLockfile, directDependencies, type LockedPackage, type Lockfile } from './lockfile.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const lockfile = JSON.parse(read('package-lock.json')) as Lockfile;

test('every package has a permissive licence, is pinned, and runs no unknown install script', () => {
  const { packages, problems } = auditLockfile(lockfile);
  assert.ok(packages > 100);
  assert.deepEqual(problems, []);
});

test('another licence, no checksum, or an install script is a problem', () => {
  const good: LockedPackage = { version: '1.0.0', license: 'MIT', integrity: 'sha512-x' };
  const problemsOf = (change: LockedPackage): string[] =>
    auditLockfile({ packages: { 'node_modules/a/node_modules/thing': { ...good, ...change } } }).problems;
  assert.deepEqual(problemsOf({}), []);
  assert.match(problemsOf({ license: 'GPL-3.0' }).join(), /^thing@1\.0\.0 has licence GPL-3\.0/);
  const { integrity: _, ...unpinned } = good;
  assert.match(auditLockfile({ packages: { 'node_modules/thing': unpinned } }).problems.join(), /not pinned/);
  assert.match(problemsOf({ hasInstallScript: true }).join(), /has an install script/);
});

test('docs/dependencies.md explains each direct dependency, and no other package', () => {
  const said = [...read('docs/dependencies.md').matchAll(/^\| `([^`]+)` +\|/gm)].map((match) => match[1]!).sort();
  assert.deepEqual(said, directDependencies(lockfile));
});
