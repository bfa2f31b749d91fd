// `make e2e`: the tests that need a real Kubernetes API, browsers or FFmpeg, one file after the other.
import { globSync } from 'node:fs';
import { runTestFiles } from './test-files.ts';
import { closingLine } from './tally.ts';

const wanted = process.argv.slice(2);
const files = globSync('e2e/**/*.test.ts').filter(
  (file) => !file.includes('node_modules/') && (wanted.length === 0 || wanted.some((part) => file.includes(part))),
);
if (files.length === 0) throw new Error(`no end-to-end test matches ${wanted.join(', ') || 'e2e/'}`);
closingLine([await runTestFiles(files.sort(), { concurrency: 1, timeoutMs: 900_000, totalMs: 3_600_000 })]);
