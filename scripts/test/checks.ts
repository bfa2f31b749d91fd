import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Tally } from './tally.ts';

/** The caches of tsc and prettier, one folder for each checkout, outside of it. Both compare content, so the folder may be old or missing. */
function memory(): string {
  const checkout = createHash('sha256').update(process.cwd()).digest('hex').slice(0, 12);
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'millrace', 'checks', checkout);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Two parallel sequences, since lint takes as long as all other checks together. ESLint runs without a cache: its rules span files. */
export async function runChecks(): Promise<Tally> {
  const folder = memory();
  const results = await Promise.all([
    inOrder([
      ['lint', 'eslint', '.'],
      ['spelling', 'cspell', 'lint', '--no-progress', '--no-summary', '.'],
      ['layers', 'depcruise', '--config', '.dependency-cruiser.js', ...packages()],
    ]),
    inOrder([
      ['types', 'tsc', '-p', 'tsconfig.json', '--incremental', '--tsBuildInfoFile', join(folder, 'types.tsbuildinfo')],
      [
        'format',
        'prettier',
        '--check',
        '.',
        '--log-level',
        'warn',
        '--cache',
        '--cache-strategy',
        'content',
        '--cache-location',
        join(folder, 'format'),
      ],
    ]),
  ]);
  const passed = results.flat();
  return { passed: passed.filter(Boolean).length, failed: passed.filter((ok) => !ok).length, skipped: 0 };
}

/** The workspaces of package.json. */
function packages(): string[] {
  return (JSON.parse(readFileSync('package.json', 'utf8')) as { workspaces: string[] }).workspaces;
}

async function inOrder(checks: [name: string, program: string, ...args: string[]][]): Promise<boolean[]> {
  const results: boolean[] = [];
  for (const check of checks) results.push(await run(...check));
  return results;
}

function run(name: string, program: string, ...args: string[]): Promise<boolean> {
  const startedAt = performance.now();
  const child = spawn(join('node_modules', '.bin', program), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (output += data.toString()));
  return new Promise((resolve) => {
    const end = (ok: boolean): void => {
      process.stdout.write(
        `${ok ? '✔' : '✖'} ${name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)\n${ok ? '' : output}`,
      );
      resolve(ok);
    };
    child.on('error', (error) => {
      output += `${error.message}\n`;
      end(false);
    });
    child.on('close', (code) => end(code === 0));
  });
}
