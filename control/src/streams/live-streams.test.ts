import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '@millrace/api';
import type { RouteRule } from '../routes/index.ts';
import { entry } from '../testing/facts.ts';
import { LiveStreams } from './live-streams.ts';

function rule(name: string, patterns: string[], more: Partial<RouteRule> = {}): RouteRule {
  return { name, patterns, priority: 0, createdAt: '', policy: { ...DEFAULT_POLICY, lingerMs: 1 }, ...more };
}

function setUp() {
  const streams = new LiveStreams();
  const changes: string[] = [];
  streams.watch(({ stream, entry: now, rule: applies }) =>
    changes.push(`${stream} ${now?.epoch ?? 'ended'} ${applies?.name ?? '-'}`),
  );
  return { streams, changes };
}

test('a late answer about an earlier epoch changes nothing', () => {
  const { streams } = setUp();
  streams.put(entry('live/a', { epoch: 5 }));
  streams.put(entry('live/a', { epoch: 4, node: 'b' }));
  streams.remove('live/a', 4);
  assert.equal(streams.get('live/a')?.epoch, 5);
  streams.remove('live/a', 5);
  assert.equal(streams.get('live/a'), undefined);
});

test('a changed StreamRoute affects the live streams that it matches or matched, and no others', () => {
  const { streams, changes } = setUp();
  for (const stream of ['live/a', 'live/b', 'vod/a', 'vod/b']) streams.put(entry(stream));
  changes.length = 0;
  streams.setRule(rule('live', ['live/*']));
  assert.deepEqual(changes.splice(0), ['live/a 1 live', 'live/b 1 live']);
  streams.setRule(rule('one', ['live/a', '*/b'], { priority: 1 }));
  assert.deepEqual(changes.splice(0).sort(), ['live/a 1 one', 'live/b 1 one', 'vod/b 1 one']);
  assert.deepEqual([[...streams.ofRule('live')], [...streams.ofRule('one')].sort()], [[], ['live/a', 'live/b', 'vod/b']]);
  streams.setRule(rule('one', ['vod/b'], { priority: 1 }));
  assert.deepEqual(changes.splice(0).sort(), ['live/a 1 live', 'live/b 1 live', 'vod/b 1 one']);
  streams.deleteRule('live');
  assert.deepEqual(changes.splice(0).sort(), ['live/a 1 -', 'live/b 1 -']);
  assert.deepEqual(streams.policyOf('live/a'), DEFAULT_POLICY);
});

test('reading the whole directory again reports only the differences', () => {
  const { streams, changes } = setUp();
  for (const stream of ['live/a', 'live/b', 'live/c']) streams.put(entry(stream));
  changes.length = 0;
  streams.replace([entry('live/a'), entry('live/b', { epoch: 2 }), entry('live/d')]);
  assert.deepEqual(changes.sort(), ['live/b 2 -', 'live/c ended -', 'live/d 1 -']);
  assert.equal(streams.size, 3);
});
