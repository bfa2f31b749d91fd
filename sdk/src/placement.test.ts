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

test('a new placement replaces alternatives that are old or were not at fault, if one can be obtained', async () => {
  let now = 0;
  let asked = 0;
  let isControlThere = true;
  const source = () => {
    if (!isControlThere) return Promise.reject(new Error('control does not answer'));
    asked += 1;
    return Promise.resolve({ ...place(`first-${asked}`), alternatives: [place(`next-${asked}`), place(`last-${asked}`)] });
  };
  const candidates = new Candidates(source, () => now);
  const next = async () => (await candidates.next()).node;
  assert.equal(await next(), 'first-1');
  candidates.restart();
  assert.equal(await next(), 'first-2');
  assert.equal(await next(), 'next-2');
  now = 3_600_000;
  isControlThere = false;
  assert.equal(await next(), 'last-2');
  await assert.rejects(next(), /control does not answer/);
  isControlThere = true;
  assert.equal(await next(), 'first-3');
});

test('nodes that failed are excluded once, even when the request for a placement fails', async () => {
  const asked: (readonly string[])[] = [];
  const candidates = new Candidates((exclude) => {
    asked.push(exclude);
    return asked.length === 2 ? Promise.reject(new Error('nothing fits')) : Promise.resolve(place('one'));
  });
  candidates.failed(await candidates.next());
  await assert.rejects(candidates.next());
  await candidates.next();
  assert.deepEqual(asked, [[], ['one'], []]);
});

test('a place has the signalling URL of its node and the stream that was placed', async () => {
  const placement = {
    ...place('one'),
    signaling: 'http://one',
    stream: 'live/demo',
    alternatives: [{ ...place('two'), signaling: 'http://two' }],
  };
  const candidates = new Candidates(() => Promise.resolve(placement));
  for (const node of ['one', 'two']) {
    const { signaling, stream } = await candidates.next();
    assert.deepEqual([signaling, stream], [`http://${node}`, 'live/demo']);
  }
});
