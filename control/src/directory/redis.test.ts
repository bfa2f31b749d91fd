import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createLogger, realClock } from '@millrace/service';
import { directoryContract } from './contract.ts';
import { RedisDirectory } from './redis.ts';

const given = process.env['MILLRACE_TEST_REDIS_URL'];
const binary = ['/usr/bin/redis-server', '/usr/local/bin/redis-server'].find((path) => existsSync(path));
const LEASE_MS = 300;

if (!given && !binary) {
  test('the directory in Redis', { skip: 'no redis-server here; install it or set MILLRACE_TEST_REDIS_URL' }, () => {});
} else {
  describe('with a Redis server', () => {
    let url = given ?? '';
    let server: ChildProcess | undefined;
    let folder: string | undefined;
    let made = 0;
    const logger = createLogger({ service: 'test', level: 'silent' });

    before(async () => {
      if (given) return;
      folder = await mkdtemp(join(tmpdir(), 'millrace-redis-'));
      const port = await freePort();
      url = `redis://127.0.0.1:${port}`;
      server = spawn(
        binary!,
        ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no'],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      await new Promise<void>((resolve, reject) => {
        server!.on('exit', (code) => reject(new Error(`redis-server ended with ${code}`)));
        server!.stdout!.on('data', (text: Buffer) => text.includes('Ready to accept connections') && resolve());
      });
    });
    after(async () => {
      server?.removeAllListeners('exit');
      server?.kill();
      if (folder) await rm(folder, { recursive: true, force: true });
    });

    directoryContract('the directory in Redis', async () => {
      const options = { url, clock: realClock, logger, leaseMs: LEASE_MS, prefix: `{test-${process.pid}-${made++}}:` };
      const directory = await RedisDirectory.connect(options);
      const other = await RedisDirectory.connect(options);
      return {
        directory,
        other,
        passLeases: (count) => new Promise((resolve) => setTimeout(resolve, count * LEASE_MS)),
        close: async () => {
          await directory.close();
          await other.close();
        },
      };
    });
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
