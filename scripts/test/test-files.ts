import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import type { Tally } from './tally.ts';

const FUZZ_SEED = new URL('fuzz-seed.ts', import.meta.url).href;

export interface TestRunOptions {
  /** Test files that run at once, each in a process of its own. */
  concurrency: number;
  /** A test that takes longer has failed. */
  timeoutMs: number;
  /** Test files that still run after this time are ended, because a file can hang outside of any test's timeout. */
  totalMs: number;
}

/** Runs node:test files, shows them as they end, and counts tests (not suites). */
export async function runTestFiles(files: readonly string[], options: TestRunOptions): Promise<Tally> {
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  const events = run({
    files: [...files],
    concurrency: options.concurrency,
    execArgv: ['--import', FUZZ_SEED],
    timeout: options.timeoutMs,
    signal: AbortSignal.timeout(options.totalMs),
  });
  events.on('test:summary', ({ file, counts }) => {
    // Summaries with a file are of that file; the last one has no file and covers all. A test that was cancelled (timeout) did not pass.
    if (file !== undefined) return;
    const { passed, skipped, todo, tests } = counts;
    Object.assign(tally, { passed, skipped: skipped + todo, failed: tests - passed - skipped - todo });
  });
  const shown = events.compose(new spec()) as Readable;
  shown.pipe(process.stdout, { end: false });
  await finished(shown, { writable: false });
  return tally;
}
