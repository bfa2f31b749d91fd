import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cutStrings } from './cut-strings.ts';

test('any JSON stays JSON of the same shape, with each string a beginning of what it was', () => {
  const json = fc.jsonValue({ maxDepth: 3, noUnicodeString: false });
  fc.assert(
    fc.property(json, fc.integer({ min: 1, max: 20 }), (value, maxLength) => {
      const cut = JSON.parse(cutStrings(JSON.stringify(value), maxLength)) as unknown;
      assertBeginning(cut, JSON.parse(JSON.stringify(value)));
    }),
  );
});

function assertBeginning(cut: unknown, whole: unknown): void {
  if (typeof whole === 'string') {
    assert.ok(typeof cut === 'string');
    return assert.ok(cut === whole || (cut.endsWith('…') && whole.startsWith(cut.slice(0, -1))), `${cut} of ${whole}`);
  }
  if (Array.isArray(whole)) {
    assert.ok(Array.isArray(cut) && cut.length === whole.length);
    return whole.forEach((each, i) => assertBeginning(cut[i], each));
  }
  if (typeof whole === 'object' && whole !== null) {
    assert.equal(Object.keys(cut as object).length <= Object.keys(whole).length, true);
    const values = Object.entries(cut as object);
    for (const [key, value] of values) {
      const own = Object.entries(whole).filter(
        ([name]) => name === key || (key.endsWith('…') && name.startsWith(key.slice(0, -1))),
      );
      assert.ok(own.length > 0, key);
      if (own.length === 1) assertBeginning(value, own[0]![1]);
    }
    return;
  }
  assert.equal(cut, whole);
}

test('a text that is no JSON is cut without an exception', () => {
  fc.assert(fc.property(fc.string(), fc.nat(5), (text, maxLength) => typeof cutStrings(text, maxLength) === 'string'));
  assert.equal(cutStrings('"abcdef', 2), '"ab…');
});
