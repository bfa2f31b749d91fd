import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findCondition, formatMicroTime, formatTime, isTrue, setCondition, type Condition } from './conditions.ts';

const noon = Date.UTC(2026, 0, 1, 12);
const ready = (init: Partial<Condition> = {}) => ({
  type: 'Ready',
  status: 'True' as const,
  reason: 'AllReady',
  message: 'all pods are ready',
  observedGeneration: 1,
  ...init,
});

describe('conditions', () => {
  test('a new condition gets the current time', () => {
    assert.deepEqual(setCondition(undefined, ready(), noon), [{ ...ready(), lastTransitionTime: '2026-01-01T12:00:00Z' }]);
  });

  test('the transition time changes only with the status', () => {
    const first = setCondition([], ready(), noon);
    const explained = setCondition(first, ready({ message: '3 pods are ready', observedGeneration: 2 }), noon + 60_000);
    assert.equal(explained[0]?.lastTransitionTime, '2026-01-01T12:00:00Z');
    assert.equal(explained[0]?.message, '3 pods are ready');
    const failed = setCondition(explained, ready({ status: 'False', reason: 'NoPods' }), noon + 120_000);
    assert.equal(failed[0]?.lastTransitionTime, '2026-01-01T12:02:00Z');
  });

  test('an unchanged list is returned as the same array', () => {
    const list = setCondition([], ready(), noon);
    assert.equal(setCondition(list, ready(), noon + 5_000), list);
  });

  test('other conditions keep their content and position', () => {
    const list = setCondition(setCondition([], ready({ type: 'A' }), noon), ready({ type: 'B' }), noon);
    const next = setCondition(list, ready({ type: 'A', status: 'Unknown' }), noon);
    assert.deepEqual(
      next.map(({ type, status }) => [type, status]),
      [
        ['A', 'Unknown'],
        ['B', 'True'],
      ],
    );
    assert.equal(next[1], list[1]);
    assert.ok(isTrue(next, 'B') && !isTrue(next, 'A') && !isTrue(undefined, 'B'));
    assert.equal(findCondition(next, 'C'), undefined);
  });

  test('times have the format that the API accepts', () => {
    assert.equal(formatTime(noon + 1.5), '2026-01-01T12:00:00Z');
    assert.equal(formatMicroTime(noon + 7.25), '2026-01-01T12:00:00.007250Z');
  });
});
