import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KEYFRAME_INTERVAL_MS, KeyframeRequests } from './keyframe-requests.ts';

describe('keyframe requests of a stream', () => {
  const due = (requests: KeyframeRequests, nowMs: number) => {
    const sent: string[] = [];
    requests.flush(nowMs, (track, layer) => sent.push(`${track}/${layer}`));
    return sent;
  };

  test('the first goes up at once, those of the next 300 ms together at their end', () => {
    const requests = new KeyframeRequests();
    assert.equal(requests.request(0, 1, 1000), true);
    for (const at of [1001, 1100, 1299]) assert.equal(requests.request(0, 1, at), false);
    assert.deepEqual(due(requests, 1299), []);
    assert.deepEqual(due(requests, 1000 + KEYFRAME_INTERVAL_MS), ['0/1']);
    assert.deepEqual(due(requests, 5000), []);
    assert.equal(requests.request(0, 1, 5000), true);
  });

  test('each layer and track has an interval of its own', () => {
    const requests = new KeyframeRequests();
    assert.ok(requests.request(0, 0, 0) && requests.request(0, 1, 0) && requests.request(1, 0, 0));
  });

  test('a keyframe that came answers what waits', () => {
    const requests = new KeyframeRequests();
    requests.request(0, 0, 0);
    requests.request(0, 0, 50);
    requests.seen(0, 0);
    assert.deepEqual(due(requests, 1000), []);
  });
});
