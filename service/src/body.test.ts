import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { assertLinear } from '@millrace/testkit';
import { parseRequest, Problem } from './problem.ts';

const schema = z.strictObject({
  tracks: z.array(z.strictObject({ parameters: z.record(z.string(), z.union([z.string(), z.number()])) })),
});
const wrong = (count: number): object => ({
  tracks: [{ parameters: Object.fromEntries(Array.from({ length: count }, (_, n) => [`p${n}`, []])) }],
});
const refusal = (body: object): Problem => {
  try {
    parseRequest(schema, body);
  } catch (error) {
    if (error instanceof Problem) return error;
  }
  throw new Error('it was not refused');
};

test('a refusal lists the first errors and counts the others', () => {
  const { detail, extensions } = refusal(wrong(1000));
  assert.match(detail!, /^tracks\.0\.parameters\.p0: .*; and 990 more$/);
  assert.equal((extensions['errors'] as unknown[]).length, 10);
  assert.ok(JSON.stringify({ detail, extensions }).length < 6000);
  assert.doesNotMatch(refusal(wrong(1)).detail!, /more$/);
});

test('the text of an error is short, whatever the body', () => {
  const { detail } = refusal({ tracks: [], ['x'.repeat(50_000)]: 1 });
  assert.ok(detail!.length < 500);
});

test('the time for a refusal is linear', () => assertLinear('parseRequest', wrong, refusal, 500));
