import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limitOf } from './ramp.ts';

const limits = { headroom: 0.2, arrived: 0.999, most: 500 };
const step = { viewers: 100, machineBusy: 0.5, arrived: 1 };

test('viewers are added while the machine has room and packets arrive', () => {
  assert.equal(limitOf(step, limits), undefined);
});

test('the first loss, too little CPU left and the number asked for end the ramp, and say so', () => {
  assert.match(limitOf({ ...step, arrived: 0.995 }, limits)!, /100 viewers' packets 99\.5% arrived/);
  assert.match(limitOf({ ...step, machineBusy: 0.85 }, limits)!, /100 viewers left 15% of the CPU/);
  assert.match(limitOf({ ...step, viewers: 500 }, limits)!, /500 viewers were asked for/);
});

test('a number that was asked for is reached whatever it costs', () => {
  assert.equal(limitOf({ ...step, machineBusy: 1, arrived: 0.5 }, { headroom: 0, arrived: 0, most: 500 }), undefined);
});
