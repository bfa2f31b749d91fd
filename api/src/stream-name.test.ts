import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { STREAM_NAME_HALVES, StreamName } from './index.ts';

const half = (): fc.Arbitrary<string> =>
  fc.oneof(
    fc.constantFrom('.', '..', '...', 'sessions', 'Sessions', 'sessionsx', '.a', 'a.'),
    fc.stringMatching(/^[A-Za-z0-9_.-]{1,20}$/),
    fc.string({ unit: 'binary', maxLength: 8 }),
  );

test('a name that is taken is reached at its URL, and by no path that the nodes use for something else', () => {
  let taken = 0;
  fc.assert(
    fc.property(half(), half(), (app, name) => {
      const stream = `${app}/${name}`;
      const ok = StreamName.safeParse(stream).success;
      assert.equal(ok, STREAM_NAME_HALVES.app.safeParse(app).success && STREAM_NAME_HALVES.name.safeParse(name).success, stream);
      if (!ok) return;
      taken += 1;
      assert.equal(new URL(`http://node/whip/${stream}`).pathname, `/whip/${stream}`);
      assert.notEqual(app.toLowerCase(), 'sessions');
    }),
    { numRuns: 2_000 },
  );
  assert.ok(taken > 200, `only ${taken} names were taken`);
});

const UNREACHABLE = [
  'sessions/x',
  'SESSIONS/x',
  './x',
  '../x',
  'live/.',
  'live/..',
  'live',
  'live/a/b',
  'live/é',
  '/x',
  'live/',
  'a b/c',
];

test('names that no URL reaches are refused with the rule', () => {
  for (const stream of UNREACHABLE)
    assert.match(StreamName.safeParse(stream).error?.issues[0]?.message ?? 'taken', /must be app\/name: .*"sessions"/, stream);
  for (const stream of [
    'live/demo',
    'live/sessions',
    'session/x',
    'sessions2/x',
    '.../x',
    'live/...',
    `${'a'.repeat(64)}/${'b'.repeat(128)}`,
  ])
    assert.ok(StreamName.safeParse(stream).success, stream);
});
