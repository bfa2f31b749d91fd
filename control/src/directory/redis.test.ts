import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
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
    const options = { url: redis.url, clock: realClock, logger, leaseMs: LEASE_MS, fleet: `test-${process.pid}-${made++}` };
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

  test('two fleets on one Redis, in one database or two, do not see each other', async (t) => {
    const connect = (fleet: string, database: number) =>
      RedisDirectory.connect({ url: `${redis.url}/${database}`, clock: realClock, logger, fleet });
    const staging = await connect('staging', 1);
    t.after(() => staging.close());
    const claim = {
      stream: 'live/demo',
      node: 'n',
      region: 'eu',
      host: '192.0.2.1',
      port: 1,
      session: 's',
      tracks: [],
      takeover: false,
    };
    for (const database of [0, 1]) {
      const production = await connect('production', database);
      const heard: string[] = [];
      production.watch(({ type }) => heard.push(type));
      assert.ok((await staging.publish({ ...claim, session: `staging-${database}`, takeover: true })).ok);
      assert.equal(await production.get('live/demo'), undefined);
      assert.ok((await production.publish(claim)).ok, 'the name is free here');
      assert.equal((await staging.get('live/demo'))?.session, `staging-${database}`);
      for (let tries = 0; tries < 100 && heard.length === 0; tries++) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.deepEqual(heard, ['published'], 'of its own publisher alone');
      await production.close();
    }
  });
});
