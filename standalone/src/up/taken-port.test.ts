import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'millrace-ports-'));
after(() => rmSync(root, { recursive: true, force: true }));

async function up(stateDir: string, ports: Record<string, number>): Promise<{ code: number; told: string }> {
  const flags = Object.entries(ports).flatMap(([flag, port]) => [`--${flag}`, String(port)]);
  const child = spawn(process.execPath, [main, 'up', '--state-dir', stateDir, '--source', 'none', ...flags], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let told = '';
  child.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, told };
}

const mentioning = (text: string) =>
  readdirSync('/proc').filter((entry) => {
    try {
      return /^\d+$/.test(entry) && readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });

for (const flag of ['api-port', 'control-port', 'console-port'])
  test(`a taken --${flag} ends \`up\` with its name and the remedy, and leaves nothing`, { timeout: 30_000 }, async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const { port } = holder.address() as AddressInfo;
    const stateDir = join(root, flag);
    const ports = { 'api-port': 0, 'control-port': 0, 'console-port': 0, [flag]: port };
    const { code, told } = await up(stateDir, ports);
    assert.equal(code, 1);
    const variable = `MILLRACE_${flag.replace('-', '_').toUpperCase()}`;
    assert.match(
      told,
      new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: another process has that port.*${variable}=${port + 1} make up`),
    );
    assert.doesNotMatch(told, /^ +at /m, 'no stack');
    assert.equal(existsSync(join(stateDir, 'owner.json')), false);
    assert.equal(existsSync(join(stateDir, 'api')), false, 'the store was not begun');
    assert.deepEqual(mentioning(stateDir), []);
    await new Promise((resolve) => holder.close(resolve));
  });

test('one port for two servers is reported before anything starts', { timeout: 30_000 }, async () => {
  const { code, told } = await up(join(root, 'twice'), { 'api-port': 0, 'control-port': 47_080, 'console-port': 47_080 });
  assert.equal(code, 1);
  assert.match(told, /the console cannot listen on 127\.0\.0\.1:47080: control is to have that port \(--control-port\)/);
});
