import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

const service = JSON.stringify(new URL('./index.ts', import.meta.url).href);

/** Runs a program, sends the signals one after the other when it says READY (and after each further line with GO), returns how it ended. */
async function run(program: string, signals: NodeJS.Signals[] = []): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const collect = (data: Buffer): void => {
    output += data.toString();
    for (let i = 0; i < (data.toString().match(/READY|GO/g) ?? []).length; i++) {
      const signal = signals.shift();
      if (signal) child.kill(signal);
    }
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

const waiting = (stop: string, timeoutMs = 60_000): string => `
  import { createLogger, onShutdown } from ${service};
  setInterval(() => {}, 1000);
  onShutdown(createLogger({ service: 't' }), async (signal) => { ${stop} }, { timeoutMs: ${timeoutMs} });
  console.log('READY');`;

test('a signal runs the stop function once and ends with 0', async () => {
  const { code, output } = await run(waiting(`console.log('got ' + signal)`), ['SIGTERM']);
  assert.equal(code, 0, output);
  assert.match(output, /got SIGTERM/);
});

test('a stop function that fails or takes too long ends with 1', async () => {
  assert.equal((await run(waiting(`throw new Error('no')`), ['SIGINT'])).code, 1);
  const late = await run(waiting(`await new Promise(() => {})`, 20), ['SIGINT']);
  assert.deepEqual([late.code, /took too long/.test(late.output)], [1, true]);
});

test('a second signal ends at once', async () => {
  const { code } = await run(waiting(`console.log('GO'); await new Promise(() => {})`), ['SIGTERM', 'SIGINT']);
  assert.equal(code, 130);
});

test('runMain: wrong configuration ends with 2 and the list, --help with 0, other errors with 1', async () => {
  const program = (argv: string[], body = ''): string => `
    import { loadConfig, runMain } from ${service};
    import { z } from ${JSON.stringify(import.meta.resolve('zod'))};
    runMain(async () => { loadConfig(z.object({ port: z.number() }), { argv: ${JSON.stringify(argv)} }); ${body} });`;
  const wrong = await run(program(['--port', 'x', '--extra']));
  assert.deepEqual([wrong.code, /--port: .*number/.test(wrong.output), /--extra: unknown/.test(wrong.output)], [2, true, true]);
  const help = await run(program(['--help']));
  assert.deepEqual([help.code, /MILLRACE_PORT/.test(help.output)], [0, true]);
  const failing = await run(program(['--port', '1'], `throw new Error('boom')`));
  assert.deepEqual([failing.code, /boom/.test(failing.output)], [1, true]);
});
