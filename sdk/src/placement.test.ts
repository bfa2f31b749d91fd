import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Placement } from './placement.ts';
import { Candidates, fixedPlacement } from './placement.ts';

const place = (node: string) => ({ node, region: 'r', url: `http://${node}/whep/live/demo` });

test('places are handed out in order, then a new placement is asked for that excludes what failed', async () => {
  const asked: (readonly string[])[] = [];
  const placements: Placement[] = [
    { ...place('one'), token: 't1', alternatives: [place('two'), place('three')] },
    { ...place('four'), token: 't2' },
  ];
  const candidates = new Candidates((exclude) => {
    asked.push(exclude);
    return Promise.resolve(placements[asked.length - 1] as Placement);
  });
  const seen: string[] = [];
  for (let i = 0; i < 4; i++) {
    const candidate = await candidates.next();
    seen.push(`${candidate.node} ${candidate.token}`);
    candidates.failed(candidate);
  }
  assert.deepEqual(seen, ['one t1', 'two t1', 'three t1', 'four t2']);
  assert.deepEqual(asked, [[], ['one', 'two', 'three']]);
});

test('a fixed endpoint is tried again and again', async () => {
  const candidates = new Candidates(fixedPlacement('http://edge.example/whep/live/demo', 'secret'));
  for (let i = 0; i < 3; i++) {
    const candidate = await candidates.next();
    assert.equal(candidate.url, 'http://edge.example/whep/live/demo');
    assert.equal(candidate.token, 'secret');
    candidates.failed(candidate);
  }
});
