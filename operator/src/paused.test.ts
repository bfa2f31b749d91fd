import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPaused } from './paused.ts';

describe('the annotation millrace.dev/paused', () => {
  for (const value of ['true', 'yes', 'True', '1', '', 'until Monday'])
    test(`pauses with the value ${JSON.stringify(value)}`, () => {
      assert.equal(isPaused({ metadata: { annotations: { 'millrace.dev/paused': value } } }), true);
    });

  test('pauses nothing when it is absent or false', () => {
    assert.equal(isPaused({ metadata: {} }), false);
    assert.equal(isPaused({ metadata: { annotations: { 'millrace.dev/paused': 'false' } } }), false);
  });
});
