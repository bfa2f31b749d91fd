import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY, type StreamState } from '@millrace/api';
import { FakeClock, quietLogger } from '@millrace/testkit';
import type { MediaCore } from './cores.ts';
import type { RoutePlan } from './route-plan.ts';
import { ServedStream } from './served-stream.ts';

const state: StreamState = {
  stream: 'live/demo',
  epoch: 1,
  since: 0,
  origin: { node: 'a-push', region: 'a', host: '192.0.2.1', port: 1 },
  policy: { ...DEFAULT_POLICY, policyKey: 'via-b', pathRequired: true },
};

/** A stream with a new path policy. The fake relay records each requested path and rejects. */
function start() {
  const clock = new FakeClock();
  let plan: RoutePlan = { ok: false, reason: 'not planned yet' };
  const asked: string[][] = [];
  const served = new ServedStream(state, {
    relay: {
      egress: ({ path }) => {
        asked.push(path);
        return Promise.reject(new Error('no relay in this test'));
      },
    },
    plan: () => plan,
    hasPendingRequests: () => true,
    onUnserved: () => undefined,
    logger: quietLogger().logger,
    clock,
    republishMs: 1_000,
  });
  const arrive = (): void => {
    plan = { ok: true, path: ['b-relay'], backup: [] };
    served.reroute();
  };
  return { clock, served, asked, arrive };
}

const core = { index: 0 } as MediaCore;

test('the first viewer of a stream whose path is not planned yet waits for it', async () => {
  const { clock, served, asked, arrive } = start();
  const opening = served.distribute(core).catch((error: unknown) => error);
  await clock.settle(1_000);
  assert.deepEqual(asked, []);
  arrive();
  await opening;
  assert.deepEqual(asked, [['b-relay']]);
  assert.equal(clock.pendingTimers, 0);
});

test('a viewer whose path does not come in 3 s gets 503, the reason, and when to try again', async () => {
  const { clock, served } = start();
  const opening = served.distribute(core).catch((error: unknown) => error);
  await clock.settle(3_000);
  const problem = (await opening) as { status: number; detail: string; headers: Record<string, string> };
  assert.deepEqual([problem.status, problem.detail, problem.headers['retry-after']], [503, 'not planned yet', '2']);
});
