import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candidate } from '../scheduler/index.ts';
import { report } from '../testing/facts.ts';
import { chooseHolders } from './plan.ts';

function candidate(node: string, more: Partial<Candidate> = {}): Candidate {
  const capacity = { sessions: 100, egressMbps: 1000 };
  const base = {
    region: 'north',
    connected: true,
    reportAgeMs: 100,
    pending: 0,
    cordoned: false,
    draining: false,
    https: true,
    carries: false,
  };
  return { node, roles: ['pull'], load: report().load, capacity, ...base, ...more };
}

const busy = report({ load: { sessions: 60 } }).load;
const full = report({ load: { sessions: 100 } }).load;

function chosen(candidates: Candidate[], current: string[] = [], carriers: string[] = []): string[] {
  return chooseHolders({ stream: 'live/a', candidates, carriers: new Set(carriers), current: new Set(current) }).sort();
}

describe('which nodes hold a stream in a region', () => {
  const cases: [string, string[], string[]][] = [
    ['the only node', chosen([candidate('a')]), ['a']],
    ['the least loaded', chosen([candidate('a', { load: busy }), candidate('b'), candidate('c')]), ['b', 'c']],
    [
      'a node that already holds it, though others have less load',
      chosen([candidate('a', { load: busy }), candidate('b'), candidate('c')], ['a', 'b']),
      ['a', 'b'],
    ],
    [
      'a node that already holds it, though it is full by now',
      chosen([candidate('a', { load: full }), candidate('b')], ['a']),
      ['a', 'b'],
    ],
    [
      'nodes that carry it already',
      chosen([candidate('a'), candidate('b'), candidate('c', { load: busy })], [], ['c', 'a']),
      ['a', 'c'],
    ],
    [
      'not a node that is leaving',
      chosen([candidate('a', { draining: true }), candidate('b', { cordoned: true })], ['a', 'b']),
      [],
    ],
    ['not a disconnected node', chosen([candidate('a', { connected: false }), candidate('b')], ['a']), ['b']],
    ['not a node without the pull role', chosen([candidate('a', { roles: ['push', 'relay'] })]), []],
    ['not a full node', chosen([candidate('a', { load: full })]), []],
    [
      'not a node of which nothing is known',
      chosen([candidate('a', { load: undefined }), candidate('b', { reportAgeMs: 60_000 })]),
      [],
    ],
  ];
  for (const [sentence, actual, expected] of cases) test(sentence, () => assert.deepEqual(actual, expected));

  test('different streams are spread over nodes of equal load', () => {
    const candidates = Array.from({ length: 10 }, (_, i) => candidate(`n${i}`));
    const nodes = new Set<string>();
    for (let i = 0; i < 100; i++) {
      for (const node of chooseHolders({ stream: `live/${i}`, candidates, carriers: new Set(), current: new Set() }))
        nodes.add(node);
    }
    assert.equal(nodes.size, 10);
  });
});
