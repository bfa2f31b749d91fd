import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { StreamPatternIndex } from './pattern-index.ts';
import { matchesStreamPattern } from './streams.ts';

const half = fc.string({ unit: fc.constantFrom('a', 'b', '*'), minLength: 1, maxLength: 4 });
const pattern = fc.tuple(half, half).map(([app, name]) => `${app}/${name}`);

describe('the index of stream patterns', () => {
  test('finds what looking at every pattern would find, after any additions and deletions', () => {
    const steps = fc.array(fc.record({ pattern, value: fc.nat(3), isAdded: fc.boolean() }), { maxLength: 40 });
    fc.assert(
      fc.property(steps, pattern, (given, asked) => {
        const index = new StreamPatternIndex<number>();
        const all = new Set<string>();
        for (const step of given) {
          const entry = `${step.pattern} ${step.value}`;
          if (step.isAdded) {
            index.add(step.pattern, step.value);
            all.add(entry);
          } else {
            index.delete(step.pattern, step.value);
            all.delete(entry);
          }
        }
        const by = (fits: (text: string) => boolean): string[] => [...all].filter((entry) => fits(entry.split(' ')[0]!)).sort();
        const found = (matches: Iterable<{ pattern: string; value: number }>): string[] =>
          [...matches].map((match) => `${match.pattern} ${match.value}`).sort();
        const isMatched = (wide: string, text: string): boolean => wide === text || matchesStreamPattern(wide, text);
        assert.deepEqual(
          found(index.matching(asked)),
          by((text) => isMatched(text, asked)),
        );
        assert.deepEqual(
          found(index.within(asked)),
          by((text) => isMatched(asked, text)),
        );
        assert.deepEqual(
          [...index.equal(asked)].map((value) => `${asked} ${value}`).sort(),
          by((text) => text === asked),
        );
      }),
      { numRuns: 2_000 },
    );
  });

  test('compares only what can match, of 10,000 patterns of whatever kind', () => {
    let compared = 0;
    const counting = (wide: string, name: string): boolean => {
      compared++;
      return matchesStreamPattern(wide, name);
    };
    for (const kind of [(i: number) => `live/${i}-*`, (i: number) => `*/room-${i}`, (i: number) => `app${i}/*`]) {
      const index = new StreamPatternIndex<number>(counting);
      for (let i = 0; i < 10_000; i++) index.add(kind(i), i);
      const name = kind(5_000).replace('*', 'x');
      compared = 0;
      assert.deepEqual(
        [...index.matching(name)].map(({ value }) => value),
        [5_000],
      );
      assert.ok(compared <= 5, `${compared} comparisons for ${name}`);
    }
  });
});
