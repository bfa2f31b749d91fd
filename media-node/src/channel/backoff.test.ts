import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AgentClose } from '@millrace/api';
import { redialAfterMs } from './backoff.ts';

const least = (): number => 0;
const most = (): number => 0.999;

test('the first redial comes soon, later ones ever more seldom up to 5 s', () => {
  assert.equal(redialAfterMs(0, 1006, least), 125);
  assert.ok(redialAfterMs(3, 1006, least) > redialAfterMs(2, 1006, least));
  for (const failures of [6, 20, 1e9]) assert.ok(redialAfterMs(failures, 1006, most) <= 5000);
});

test('nodes that lost control together come back spread over half of the wait', () => {
  assert.ok(redialAfterMs(8, 1006, most) - redialAfterMs(8, 1006, least) > 2400);
});

test('who was replaced or is not understood waits longer', () => {
  for (const code of [AgentClose.replaced, AgentClose.protocolUnsupported]) assert.equal(redialAfterMs(0, code, least), 7500);
});
