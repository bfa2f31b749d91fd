import { after, before, describe } from 'node:test';
import { createLogger, realClock } from '@millrace/service';
import { noRedis, startRedis } from '@millrace/testkit/redis-server';
import { directoryContract } from './contract.ts';
import { RedisDirectory } from './redis.ts';

const LEASE_MS = 300;

describe('with a Redis server', { skip: noRedis }, () => {
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let made = 0;
  const logger = createLogger({ service: 'test', level: 'silent' });
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis.stop());

  directoryContract('the directory in Redis', async () => {
    const options = { url: redis.url, clock: realClock, logger, leaseMs: LEASE_MS, prefix: `{test-${process.pid}-${made++}}:` };
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
