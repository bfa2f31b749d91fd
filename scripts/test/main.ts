// `make test`: types, lint and format, then every test beside the code. The last line is `N passed, N failed`, including the checks.
import { globSync } from 'node:fs';
import { runChecks } from './checks.ts';
import { runTestFiles } from './test-files.ts';
import { closingLine, type Tally } from './tally.ts';

const beside = ['*/src/**/*.test.ts', 'api/codegen/**/*.test.ts', 'scripts/**/*.test.ts'];

const wanted = process.argv.slice(2);
const checksOnly = wanted.includes('--checks');
const tallies: Tally[] = [];

if (checksOnly || wanted.length === 0) tallies.push(await runChecks());
if (!checksOnly) {
  const files = globSync(beside)
    .filter((file) => !file.startsWith('e2e/') && !file.includes('node_modules/'))
    .filter((file) => wanted.length === 0 || wanted.some((part) => file.startsWith(part)));
  if (files.length === 0) throw new Error(`no test file below ${wanted.join(', ') || '.'}`);
  tallies.push(await runTestFiles(files.sort(), { concurrency: 2, timeoutMs: 120_000, totalMs: 900_000 }));
}
closingLine(tallies);
