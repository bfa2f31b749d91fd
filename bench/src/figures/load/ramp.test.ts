import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limitOf } from './ramp.ts';

const limits = { headroom: 0.2, arrived: 0.999, max: 500 };
const step = { viewers: 100, machineBusy: 0.5, arrived: 1 };

test('viewers are added while CPU is free and packets arrive', () => {
  assert.equal(limitOf(step, limits), undefined);
});

test('the ramp ends with a reason on loss, on too little free CPU and at the configured number', () => {
  assert.match(limitOf({ ...step, arrived: 0.995 }, limits)!, /100 viewers' packets 99\.5% arrived/);
  assert.match(limitOf({ ...step, machineBusy: 0.85 }, limits)!, /100 viewers left 15% of the CPU/);
  assert.match(limitOf({ ...step, viewers: 500 }, limits)!, /500 viewers were configured/);
});

test('a configured number is reached regardless of CPU and loss', () => {
  assert.equal(limitOf({ ...step, machineBusy: 1, arrived: 0.5 }, { headroom: 0, arrived: 0, max: 500 }), undefined);
});
