import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Subscribe } from '@millrace/api/trunk';
import { MAX_DOWNSTREAMS, refusalOf, type AdmissionState } from './admission.ts';

const message: Subscribe = {
  type: 'subscribe',
  id: 1,
  stream: 'live/demo',
  path: ['a'],
  backup: [],
  via: ['c'],
  layers: [],
  held: [],
  conversations: { audio: 16, video: 18 },
};
const relay: AdmissionState = {
  self: 'b',
  relays: true,
  originEpoch: undefined,
  upstream: [],
  carried: false,
  downstreams: 0,
  knows: (node) => node !== 'stranger',
};

describe('a SUBSCRIBE from c at b', () => {
  const cases: [what: string, message: Partial<Subscribe>, state: Partial<AdmissionState>, code: string | undefined][] = [
    ['to a relay is taken', {}, {}, undefined],
    ['to the origin is taken', { path: [] }, { originEpoch: 5 }, undefined],
    ['to the origin that is no relay is taken', { path: [] }, { originEpoch: 5, relays: false }, undefined],
    ['to a node that carries the stream is taken without a path', { path: [] }, { carried: true }, undefined],
    ['of a stream that is not published at the end of its path', { path: [] }, {}, 'unknown-stream'],
    ['of an epoch that the origin does not have', { path: [], epoch: 6 }, { originEpoch: 5 }, 'unknown-stream'],
    ['of an older epoch is served the current one', { path: [], epoch: 4 }, { originEpoch: 5 }, undefined],
    ['to a node that is no relay', {}, { relays: false }, 'unauthorised'],
    ['by way of a node that is not in its settings', { path: ['stranger', 'a'] }, {}, 'unauthorised'],
    ['with b on the path', { path: ['x', 'b'] }, {}, 'loop'],
    ['that came through b already', { via: ['b', 'c'] }, {}, 'loop'],
    ['from a node that b gets the stream through', {}, { upstream: ['x', 'c', 'a'] }, 'loop'],
    ['that names another sender', { via: ['d'] }, {}, 'invalid'],
    ['over as many trunks as may be', { path: 'klmnopqrstuvwxy'.split('') }, {}, undefined],
    ['over one more', { path: 'klmnopqrstuvwxy'.split(''), via: ['d', 'c'] }, {}, 'path-too-long'],
    ['to a full node', {}, { downstreams: MAX_DOWNSTREAMS }, 'overloaded'],
  ];
  for (const [what, fields, state, code] of cases) {
    test(`${what}${code ? ` → ${code}` : ''}`, () => {
      assert.equal(refusalOf({ ...message, ...fields }, 'c', { ...relay, ...state })?.code, code);
    });
  }
});
