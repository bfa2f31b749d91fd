import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_POLICY, matchesStreamPattern, patternSpecificity } from '@millrace/api';
import fc from 'fast-check';
import type { RouteRule } from './rule.ts';
import { RouteTable } from './table.ts';

function rule(name: string, patterns: string[], more: Partial<RouteRule> = {}): RouteRule {
  return { name, patterns, priority: 0, createdAt: '2026-01-01T00:00:00Z', policy: DEFAULT_POLICY, ...more };
}

function tableOf(...rules: RouteRule[]): RouteTable {
  const table = new RouteTable();
  for (const one of rules) table.set(one);
  return table;
}

describe('the StreamRoute of a stream', () => {
  const cases: [string, RouteRule[], string, string | undefined][] = [
    ['no route applies where no pattern matches', [rule('r', ['live/*'])], 'vod/a', undefined],
    ['an exact name wins over a glob', [rule('glob', ['live/*']), rule('exact', ['live/a'])], 'live/a', 'exact'],
    ['more literal characters win', [rule('short', ['live/*']), rule('long', ['live/ab*'])], 'live/abc', 'long'],
    ['a literal app wins over any app', [rule('any', ['*/abc']), rule('app', ['live/a*'])], 'live/abc', 'app'],
    ['priority wins over an exact name', [rule('exact', ['live/a']), rule('high', ['*/*'], { priority: 1 })], 'live/a', 'high'],
    [
      'of equal routes the oldest wins',
      [rule('a', ['live/*']), rule('b', ['live/*'], { createdAt: '2025-12-31T23:59:59Z' })],
      'live/x',
      'b',
    ],
    ['of equally old routes the first name wins', [rule('b', ['live/*']), rule('a', ['live/*'])], 'live/x', 'a'],
    ['the best of several patterns counts', [rule('two', ['*/*', 'live/x']), rule('one', ['live/*'])], 'live/x', 'two'],
    ['a star does not cross the slash', [rule('r', ['l*o'])], 'live/o', undefined],
  ];
  for (const [sentence, rules, stream, expected] of cases) {
    test(sentence, () => assert.equal(tableOf(...rules).match(stream)?.name, expected));
  }

  test('a changed or deleted rule no longer applies where it did', () => {
    const table = tableOf(rule('r', ['live/a', 'live/*', '*/z']));
    table.set(rule('r', ['live/b']));
    assert.equal(table.match('live/a'), undefined);
    assert.equal(table.match('x/z'), undefined);
    assert.equal(table.match('live/b')?.name, 'r');
    table.delete('r');
    assert.equal(table.match('live/b'), undefined);
    assert.equal(table.size, 0);
  });

  test('the index finds the same rule as a scan of all rules', () => {
    const half = fc.string({ unit: fc.constantFrom('a', 'b', '*'), minLength: 1, maxLength: 4 });
    const pattern = fc.tuple(half, half).map(([app, name]) => `${app}/${name}`);
    const rules = fc.array(fc.tuple(fc.array(pattern, { minLength: 1, maxLength: 3 }), fc.nat(2)), { maxLength: 12 });
    const stream = fc
      .tuple(...[0, 1].map(() => fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 })))
      .map(([a, b]) => `${a}/${b}`);
    fc.assert(
      fc.property(rules, stream, (made, name) => {
        const all = made.map(([patterns, priority], i) => rule(`r${i}`.padStart(4, '0'), patterns, { priority }));
        const fits = all.flatMap((one) =>
          one.patterns.filter((p) => matchesStreamPattern(p, name)).map((p) => ({ one, s: patternSpecificity(p) })),
        );
        fits.sort((x, y) => y.one.priority - x.one.priority || y.s - x.s || (x.one.name < y.one.name ? -1 : 1));
        assert.equal(tableOf(...all).match(name)?.name, fits[0]?.one.name);
      }),
    );
  });

  test('of 10,000 rules in one app only those that can match are compared', () => {
    let compared = 0;
    const table = new RouteTable((pattern, stream) => {
      compared++;
      return matchesStreamPattern(pattern, stream);
    });
    for (let i = 0; i < 10_000; i++) table.set(rule(`r${i}`, [`live/${i}-*`]));
    table.set(rule('all', ['live/*']));
    assert.equal(table.match('live/777-a')?.name, 'r777');
    assert.ok(compared <= 10, `${compared} comparisons`);
  });

  test('patterns match as the equivalent regular expression does', () => {
    const half = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), minLength: 1, maxLength: 6 });
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.'), minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(half, half, text, text, (app, name, a, b) => {
        const source = `${app}/${name}`.replaceAll('.', '\\.').replaceAll('*', '[^/]*');
        assert.equal(matchesStreamPattern(`${app}/${name}`, `${a}/${b}`), new RegExp(`^${source}$`).test(`${a}/${b}`));
      }),
    );
  });
});
