import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';

const pages = globSync(['*.md', 'docs/**/*.md', 'examples/**/*.md']).sort();

test('there are pages', () => assert.ok(pages.length > 20, `${pages.length} pages`));

describe('decisions', () => {
  for (const page of globSync('docs/decisions/*.md').sort()) {
    test(`${page} has its date near the top`, () => {
      const head = readFileSync(page, 'utf8').split('\n').slice(0, 6).join('\n');
      assert.match(head, /\b20\d\d-\d\d-\d\d\b/);
    });
  }
});

describe('links between pages', () => {
  for (const page of pages) {
    test(`${page} links to what is there`, () => {
      const text = readFileSync(page, 'utf8').replaceAll(/```[^]*?```|`[^`\n]*`/g, '');
      const targets = [...text.matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)/g)].map(([, target]) => target!);
      const dead = targets.filter((target) => !existsSync(join(dirname(page), target)));
      assert.deepEqual(dead, []);
    });
  }
});
