// `make audit`: checks licences, pins and install scripts of every package; asks the registry for advisories and newer versions.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { auditLockfile, type Lockfile } from './lockfile.ts';

const top = new URL('../../', import.meta.url);
const lockfile = JSON.parse(readFileSync(new URL('package-lock.json', top), 'utf8')) as Lockfile;
const { packages, licences, exceptions, installScripts, problems } = auditLockfile(lockfile);

const counts = Object.entries(licences).sort(([, a], [, b]) => b - a);
console.log(`${packages} packages: ${counts.map(([name, count]) => `${count} ${name}`).join(', ')}`);
for (const line of exceptions) console.log(`  exception: ${line}`);
for (const line of installScripts) console.log(`  install script: ${line}`);

const npm = (...args: string[]) => spawnSync('npm', args, { cwd: top, encoding: 'utf8', timeout: 120_000 });
const advisories = npm('audit', '--omit=dev', '--json');
const known = parse(advisories.stdout) as { vulnerabilities?: Record<string, { severity: string }> } | undefined;
if (known?.vulnerabilities) {
  const found = Object.entries(known.vulnerabilities);
  console.log(`${found.length} packages with known advisories`);
  for (const [name, { severity }] of found) problems.push(`${name}: ${severity} advisory; see npm audit`);
} else {
  console.log('advisories: the registry in use does not provide them; use another one, e.g. npm audit --omit=dev --registry URL');
}
const outdated = Object.entries(
  (parse(npm('outdated', '--json').stdout) ?? {}) as Record<string, { wanted?: string; latest?: string }>,
);
for (const [name, { wanted, latest }] of outdated) console.log(`  newer: ${name} ${wanted} -> ${latest}`);

for (const problem of problems) console.error(`PROBLEM ${problem}`);
console.log(problems.length === 0 ? 'no problems' : `${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
