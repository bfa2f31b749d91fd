import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMetrics } from '@millrace/service';
import { FakeClock } from '@millrace/testkit';
import { KubeClient } from './client.ts';
import { EventRecorder } from './event-recorder.ts';
import { createKubeMetrics } from './metrics.ts';
import type { KubeObject } from './object.ts';
import type { CoreEvent } from './resources.ts';
import { MemoryApi } from '@millrace/testkit/kube-api';
import { quietLogger } from '@millrace/testkit';

const edge: KubeObject = {
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'MediaEdge',
  metadata: { namespace: 'ns', name: 'edge', uid: 'u1', resourceVersion: '7' },
};
const created = { type: 'Normal', reason: 'PodCreated', message: 'created pod edge-1' } as const;

function start() {
  const clock = new FakeClock(Date.UTC(2026, 0, 1));
  const api = new MemoryApi();
  const client = new KubeClient({ transport: api, clock, timeoutMs: 1_000 });
  const metrics = createKubeMetrics(createMetrics({ service: 'test' }));
  const recorder = new EventRecorder({
    client,
    component: 'millrace-operator',
    clock,
    logger: quietLogger().logger,
    random: () => 1,
    metrics,
  });
  const stop = new AbortController();
  const running = recorder.run(stop.signal);
  const written = (): CoreEvent[] => [...api.objects.values()] as unknown as CoreEvent[];
  return { clock, api, recorder, stop, running, written, metrics };
}

describe('event recorder', () => {
  test('writes an Event in the namespace of its object', async () => {
    const { clock, recorder, written, api } = start();
    recorder.event(edge, created);
    await clock.settle();
    assert.match(api.requests[0]!.path, /^\/api\/v1\/namespaces\/ns\/events$/);
    const { metadata, ...event } = written()[0]!;
    assert.match(metadata?.name ?? '', /^edge\.[0-9a-f]{16}$/);
    assert.deepEqual(event, {
      apiVersion: 'v1',
      kind: 'Event',
      involvedObject: { apiVersion: 'millrace.dev/v1alpha1', kind: 'MediaEdge', ...edge.metadata },
      type: 'Normal',
      reason: 'PodCreated',
      message: 'created pod edge-1',
      source: { component: 'millrace-operator' },
      reportingComponent: 'millrace-operator',
      reportingInstance: '',
      count: 1,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
    });
  });

  test('increments the count of one Event for repeats within ten minutes, and creates a new one later', async () => {
    const { clock, recorder, written } = start();
    for (let i = 0; i < 3; i++) {
      recorder.event(edge, created);
      await clock.settle(60_000);
    }
    assert.deepEqual(
      written().map(({ count, lastTimestamp }) => [count, lastTimestamp]),
      [[3, '2026-01-01T00:02:00Z']],
    );
    await clock.settle(20 * 60_000);
    recorder.event(edge, created);
    recorder.event(edge, { ...created, message: 'created pod edge-2' });
    await clock.settle();
    assert.deepEqual(
      written().map(({ count }) => count),
      [3, 1, 1],
    );
  });

  test('counts repeats in the same Event while the first is being written', async () => {
    const { clock, recorder, written } = start();
    for (let i = 0; i < 5; i++) {
      recorder.event(edge, created);
      await Promise.resolve();
    }
    await clock.settle(1_000);
    assert.deepEqual(
      written().map(({ count }) => count),
      [5],
    );
  });

  test('recreates an Event that has expired', async () => {
    const { clock, recorder, api, written } = start();
    recorder.event(edge, created);
    await clock.settle(60_000);
    api.put([...api.objects.keys()][0]!, undefined);
    recorder.event(edge, created);
    await clock.settle();
    assert.deepEqual(
      written().map(({ count }) => count),
      [2],
    );
  });

  test('drops and counts the Events of an object beyond its rate limit', async () => {
    const { clock, recorder, written, metrics } = start();
    for (let i = 0; i < 40; i++) recorder.event(edge, { ...created, message: `created pod edge-${i}` });
    await clock.settle(1_000);
    assert.equal(written().length, 25);
    assert.deepEqual((await metrics.eventsDropped.get()).values, [{ labels: { cause: 'rate' }, value: 15 }]);
  });

  test('retries while the API is unreachable, and gives up after the last attempt', async () => {
    const { clock, recorder, api, written, metrics } = start();
    api.faults.fail = () => 'before';
    recorder.event(edge, created);
    await clock.settle(1_500);
    api.faults = {};
    await clock.settle(10_000);
    assert.equal(written().length, 1);
    api.faults.fail = () => 'before';
    recorder.event(edge, { ...created, message: 'another' });
    await clock.settle(600_000);
    assert.equal((await metrics.eventsDropped.get()).values[0]?.labels.cause, 'error');
    assert.equal(clock.pendingTimers, 0);
  });
});
