import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FakeClock } from '@millrace/testkit';
import { KubeClient } from './client.ts';
import { NotLeaderError } from './errors.ts';
import { LeaderElector, type Term } from './leader-election.ts';
import { configMaps, type Lease } from './resources.ts';
import { MemoryApi } from '@millrace/testkit/kube-api';
import { quietLogger } from '@millrace/testkit';

const leasePath = '/apis/coordination.k8s.io/v1/namespaces/sys/leases/millrace';

function world() {
  const clock = new FakeClock(Date.UTC(2026, 0, 1));
  const api = new MemoryApi();
  const lease = (): Lease | undefined => api.objects.get(leasePath);
  const join = (identity: string) => {
    const client = new KubeClient({ transport: api, clock, timeoutMs: 5_000 });
    const elector = new LeaderElector({
      client,
      lease: { namespace: 'sys', name: 'millrace' },
      identity,
      logger: quietLogger().logger,
      random: () => 0.5,
    });
    const stop = new AbortController();
    const terms: Term[] = [];
    let ended = false;
    const running = elector
      .run(stop.signal, async (term) => {
        terms.push(term);
        await new Promise<void>((resolve) => {
          if (term.signal.aborted) resolve();
          else term.signal.addEventListener('abort', () => resolve(), { once: true });
        });
      })
      .then(() => (ended = true));
    const leads = (): boolean => (terms.at(-1)?.fence.remainingMs() ?? 0) > 0;
    return { client, elector, stop, terms, running, leads, ended: () => ended };
  };
  return { clock, api, lease, join };
}

describe('leader election', () => {
  test('the first candidate leads and renews, the second waits', async () => {
    const { clock, lease, join } = world();
    const a = join('a');
    const b = join('b');
    await clock.settle(60_000);
    assert.deepEqual([a.leads(), b.leads(), a.terms.length], [true, false, 1]);
    assert.equal(b.elector.holder, 'a');
    const { holderIdentity, leaseDurationSeconds, leaseTransitions, acquireTime, renewTime } = lease()!.spec!;
    assert.deepEqual([holderIdentity, leaseDurationSeconds, leaseTransitions], ['a', 15, 0]);
    assert.equal(acquireTime, '2026-01-01T00:00:00.000000Z');
    assert.match(renewTime!, /^2026-01-01T00:00:5\d\.\d{6}Z$/);
  });

  test('a leader that stops releases the lease, and the other takes over at its next attempt', async () => {
    const { clock, lease, join } = world();
    const a = join('a');
    await clock.settle(100);
    const b = join('b');
    await clock.settle(10_000);
    a.stop.abort();
    await a.running;
    assert.equal(lease()?.spec?.holderIdentity, '');
    assert.ok(a.terms[0]?.fence.signal.aborted);
    await clock.settle(2_500);
    assert.deepEqual([a.leads(), b.leads(), lease()?.spec?.leaseTransitions], [false, true, 1]);
  });

  test('a leader cut off from the API stops writing before another one starts', async () => {
    const { clock, api, join } = world();
    const a = join('a');
    await clock.settle(100);
    const b = join('b');
    await clock.settle(10_000);
    let cut: 'a' | undefined = 'a';
    api.faults.fail = (request) => (cut && request.body?.includes(`"holderIdentity":"${cut}"`) ? 'stall' : undefined);
    let lostAt = 0;
    let takenAt = 0;
    for (let i = 0; i < 300 && !takenAt; i++) {
      await clock.settle(100);
      if (!lostAt && !a.leads()) lostAt = clock.now();
      if (b.leads()) takenAt = clock.now();
    }
    assert.ok(lostAt > 0 && takenAt - lostAt >= 4_000, `lost at ${lostAt}, taken at ${takenAt}`);
    const write = a.client.fenced(a.terms[0]!.fence).create(configMaps, { metadata: { namespace: 'ns', name: 'x' } });
    await assert.rejects(write, NotLeaderError);
    cut = undefined;
    await clock.settle(20_000);
    assert.deepEqual([a.leads(), b.leads(), a.ended()], [false, true, false]);
  });

  test('a short outage of the API does not end the term', async () => {
    const { clock, api, join } = world();
    const a = join('a');
    await clock.settle(5_000);
    api.faults.fail = () => 'before';
    await clock.settle(6_000);
    api.faults = {};
    await clock.settle(20_000);
    assert.deepEqual([a.terms.length, a.leads()], [1, true]);
  });

  test('the term ends at once when another candidate holds the lease', async () => {
    const { clock, api, lease, join } = world();
    const a = join('a');
    await clock.settle(5_000);
    api.put(leasePath, { ...lease(), spec: { ...lease()!.spec, holderIdentity: 'intruder' } });
    await clock.settle(2_500);
    assert.deepEqual([a.leads(), a.elector.holder], [false, 'intruder']);
  });

  test('a lease that another client annotates or deletes is renewed nevertheless', async () => {
    const { clock, api, lease, join } = world();
    const a = join('a');
    await clock.settle(5_000);
    const annotated = lease()!;
    api.put(leasePath, { ...annotated, metadata: { ...annotated.metadata, annotations: { note: 'x' } } });
    await clock.settle(5_000);
    assert.equal(lease()?.metadata?.annotations?.['note'], 'x');
    api.put(leasePath, undefined);
    await clock.settle(5_000);
    assert.deepEqual([a.terms.length, a.leads(), lease()?.spec?.holderIdentity], [1, true, 'a']);
  });

  test("the holder's clock does not matter: only an unchanged lease expires", async () => {
    const { clock, api, join } = world();
    let renewals = 0;
    const renew = (): void => {
      const spec = {
        holderIdentity: 'old',
        leaseDurationSeconds: 15,
        renewTime: `1999-01-01T00:00:00.${String(renewals++).padStart(6, '0')}Z`,
      };
      api.put(leasePath, { spec });
    };
    renew();
    const a = join('a');
    for (let i = 0; i < 10; i++) {
      await clock.settle(10_000);
      renew();
    }
    assert.equal(a.leads(), false);
    await clock.settle(18_000);
    assert.equal(a.leads(), true);
  });

  test('when the work fails, run rejects with its error and the lease is released', async () => {
    const { clock, api, lease } = world();
    const client = new KubeClient({ transport: api, clock, timeoutMs: 5_000 });
    const { logger } = quietLogger();
    const elector = new LeaderElector({ client, lease: { namespace: 'sys', name: 'millrace' }, logger, random: () => 0 });
    await assert.rejects(
      elector.run(new AbortController().signal, () => Promise.reject(new Error('broken'))),
      /broken/,
    );
    assert.deepEqual([lease()?.spec?.holderIdentity, clock.pendingTimers], ['', 0]);
  });

  test('durations that could allow two leaders are rejected', () => {
    const { api, clock } = world();
    const client = new KubeClient({ transport: api, clock, timeoutMs: 5_000 });
    const base = { client, lease: { namespace: 'sys', name: 'x' }, logger: quietLogger().logger, random: () => 0 };
    assert.throws(() => new LeaderElector({ ...base, leaseDurationMs: 10_000, renewDeadlineMs: 10_000 }), /renewDeadlineMs/);
    assert.throws(() => new LeaderElector({ ...base, renewDeadlineMs: 2_000, retryPeriodMs: 2_000 }), /retryPeriodMs/);
  });

  test('two fences are never open at once, whatever fails; once nothing fails, a candidate leads', async () => {
    const fault = fc.record({
      who: fc.constantFrom('a', 'b', 'c', 'any'),
      how: fc.constantFrom('before' as const, 'after' as const, 'stall' as const, 'stallAfter' as const),
      forMs: fc.integer({ min: 0, max: 30_000 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fault, { minLength: 1, maxLength: 6 }), async (faults) => {
        const { clock, api, join } = world();
        const members = ['a', 'b', 'c'].map((name) => join(name));
        for (const { who, how, forMs } of faults) {
          api.faults.fail = (request) => (who === 'any' || request.body?.includes(`"holderIdentity":"${who}"`) ? how : undefined);
          for (let ms = 0; ms < forMs; ms += 500) {
            await clock.settle(500);
            assert.ok(members.filter((member) => member.leads()).length <= 1, 'two lead');
          }
        }
        api.faults = {};
        await clock.settle(45_000);
        assert.equal(members.filter((member) => member.leads()).length, 1);
        for (const member of members) member.stop.abort();
        await clock.settle(5_000);
        for (const member of members) await member.running;
        assert.equal(clock.pendingTimers, 0);
      }),
      { numRuns: 40 },
    );
  });
});
