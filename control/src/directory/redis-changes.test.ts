import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readChange } from './redis-changes.ts';

const entry = { stream: 'live/a', node: 'n', region: 'eu', host: '192.0.2.1', port: 1, session: 's', tracks: [] };

test('each kind of change is read', () => {
  const published = { type: 'published', epoch: 2, since: 1, user: 'anna', entry };
  assert.deepEqual(readChange(JSON.stringify(published)), {
    ok: true,
    value: { type: 'published', entry: { ...entry, epoch: 2, since: 1, user: 'anna' } },
  });
  const anonymous = readChange(JSON.stringify({ ...published, user: null }));
  assert.ok(anonymous.ok && anonymous.value.type === 'published' && !('user' in anonymous.value.entry));
  assert.ok(readChange('{"type":"removed","stream":"live/a","epoch":3}').ok);
  assert.ok(readChange('{"type":"node-gone","node":"n"}').ok);
});

const bad: [what: string, message: string, problem: RegExp][] = [
  ['no JSON', 'published\n1\n2\nbob\nbuilder', /no JSON/],
  ['an unknown kind', '{"type":"renamed"}', /type/],
  ['an epoch that no node can read', `{"type":"removed","stream":"live/a","epoch":${2 ** 48}}`, /epoch/],
  ['a user with a line break', JSON.stringify({ type: 'published', epoch: 2, since: 1, user: 'a\nb', entry }), /user/],
  ['a stream that is none', '{"type":"removed","stream":"..","epoch":1}', /stream/],
];
for (const [what, message, problem] of bad) {
  test(`${what} is refused with its field`, () => {
    const read = readChange(message);
    assert.ok(!read.ok);
    assert.match(read.problem, problem);
  });
}

test('nothing throws', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (message) => typeof readChange(message).ok === 'boolean'));
  const field = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.constant(entry));
  const record = fc.record({
    type: fc.constantFrom('published', 'removed', 'node', 'node-gone'),
    epoch: field,
    entry: field,
    stream: field,
  });
  fc.assert(fc.property(record, (change) => typeof readChange(JSON.stringify(change)).ok === 'boolean'));
});
