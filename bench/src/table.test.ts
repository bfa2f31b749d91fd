import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTable } from './table.ts';

test('words are left-aligned, numbers right-aligned and rounded to significant digits', () => {
  const table = formatTable(
    ['what', 'ms'],
    [
      ['a', 1234.5],
      ['bcdef', 84.94],
      ['g', 0.533],
      ['h', 7],
    ],
  );
  assert.equal(
    table,
    ['what      ms', '-----  -----', 'a      1,235', 'bcdef   84.9', 'g       0.53', 'h          7'].join('\n'),
  );
});

test('a column that contains a word is left-aligned', () => {
  assert.equal(formatTable(['n'], [[1], ['none']]), ['n', '----', '1', 'none'].join('\n'));
});
