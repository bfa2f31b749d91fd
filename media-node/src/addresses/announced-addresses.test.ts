import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createLogger } from '@millrace/service';
import { FakeClock } from '@millrace/testkit';
import { AnnouncedAddresses } from './announced-addresses.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function announced(hosts: string[], answers: Record<string, string[] | Error>) {
  const clock = new FakeClock();
  let lookups = 0;
  const addresses = new AnnouncedAddresses({
    hosts,
    lookup: (name) => {
      lookups++;
      const answer = answers[name] ?? new Error('ENOTFOUND');
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
    clock,
    logger,
  });
  return { addresses, clock, answers, lookups: () => lookups };
}

describe('announced addresses', () => {
  test('addresses stand as they are, names for what they resolve to, in one order and each once', async () => {
    const { addresses } = announced(['192.0.2.1', 'edge.example', '2001:db8::1'], {
      'edge.example': ['2001:DB8::1', '198.51.100.1'],
    });
    await addresses.start();
    assert.deepEqual(addresses.current, ['192.0.2.1', '2001:db8::1', '198.51.100.1']);
    assert.deepEqual(addresses.problems, []);
  });

  test('a name is resolved again every minute', async () => {
    const { addresses, clock, answers } = announced(['edge.example'], { 'edge.example': ['192.0.2.1'] });
    await addresses.start();
    answers['edge.example'] = ['192.0.2.2'];
    clock.advance(59_000);
    await settle();
    assert.deepEqual(addresses.current, ['192.0.2.1']);
    clock.advance(1_000);
    await settle();
    assert.deepEqual(addresses.current, ['192.0.2.2']);
  });

  test('a name that does not resolve is told with the remedy, and tried again after 5 s', async () => {
    const { addresses, clock, answers } = announced(['edge.example'], {});
    await addresses.start();
    assert.deepEqual(addresses.current, []);
    assert.match(addresses.problems[0]!, /edge\.example does not resolve \(ENOTFOUND\): create its DNS record/);
    answers['edge.example'] = ['192.0.2.2'];
    clock.advance(5_000);
    await settle();
    assert.deepEqual([addresses.current, addresses.problems], [['192.0.2.2'], []]);
  });

  test('what a name resolved to stays announced while the resolver fails', async () => {
    const { addresses, clock, answers } = announced(['edge.example'], { 'edge.example': ['192.0.2.1'] });
    await addresses.start();
    answers['edge.example'] = new Error('ETIMEOUT');
    clock.advance(60_000);
    await settle();
    assert.deepEqual(addresses.current, ['192.0.2.1']);
    assert.equal(addresses.problems.length, 1);
  });

  test('a resolver that never answers does not hold up the start for ever', async () => {
    const clock = new FakeClock();
    const addresses = new AnnouncedAddresses({
      hosts: ['edge.example'],
      lookup: () => new Promise(() => undefined),
      clock,
      logger,
    });
    const starting = addresses.start();
    clock.advance(10_000);
    await starting;
    assert.match(addresses.problems[0]!, /no answer within 10 s/);
  });

  test('nothing is resolved after the end, and addresses alone never are', async () => {
    const { addresses, clock, lookups } = announced(['edge.example'], { 'edge.example': ['192.0.2.1'] });
    await addresses.start();
    addresses.stop();
    clock.advance(600_000);
    await settle();
    assert.equal(lookups(), 1);
  });

  test('a client is told the address of its family, and loopback only on the machine itself', async () => {
    const { addresses } = announced(['127.0.0.1', '192.0.2.1', '2001:db8::1'], {});
    await addresses.start();
    assert.deepEqual(
      ['127.0.0.1', '192.0.2.200', '::ffff:192.0.2.200', '2001:db8::ff', '::1', undefined].map((client) =>
        addresses.towards(client),
      ),
      ['127.0.0.1', '192.0.2.1', '192.0.2.1', '2001:db8::1', '2001:db8::1', '127.0.0.1'],
    );
    assert.equal(announced(['192.0.2.1'], {}).addresses.towards('2001:db8::ff'), undefined);
  });
});
