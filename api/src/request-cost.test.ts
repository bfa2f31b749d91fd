import { test } from 'node:test';
import { assertLinear } from '@millrace/testkit';
import type { z } from 'zod';
import * as api from './index.ts';

/** The largest body of each request in JSON, in bytes, as its route takes it. */
const REQUESTS: [name: string, schema: z.ZodObject, limitBytes: number][] = [
  ['ShortPushRequest', api.ShortPushRequest, 2 * api.MAX_SDP_BYTES],
  ['ShortPullRequest', api.ShortPullRequest, 2 * api.MAX_SDP_BYTES],
  ['AnswerRequest', api.AnswerRequest, 2 * api.MAX_SDP_BYTES],
  ['SignalingRequest', api.SignalingRequest, 256 * 1024],
  ['PlacementRequest', api.PlacementRequest, 16 * 1024],
  ['PlainPushRequest', api.PlainPushRequest, 64 * 1024],
  ['PlainPullRequest', api.PlainPullRequest, 64 * 1024],
  ['LayerPreference', api.LayerPreference, 4 * 1024],
];

/** What a field may be filled with, about `length` characters of JSON. */
const FILLINGS: Record<string, (length: number) => string> = {
  'a long text': (length) => `"${'a'.repeat(length)}"`,
  'a text of slashes': (length) => `"${'/'.repeat(length)}"`,
  'a text of dots and dashes': (length) => `"${'-.'.repeat(length / 2)}"`,
  'a text of escapes': (length) => `"${'\\u0000'.repeat(length / 6)}"`,
  'many items': (length) => `[${'{},'.repeat(length / 3)}{}]`,
  'many keys': (length) => `{${Array.from({ length: length / 12 }, (_, n) => `"k${n}":[]`).join(',')}}`,
  'an item of many keys': (length) =>
    `[{"parameters":{${Array.from({ length: length / 12 }, (_, n) => `"k${n}":[]`).join(',')}}}]`,
  'a deep value': (length) => '['.repeat(length / 2) + ']'.repeat(length / 2),
};

function read(schema: z.ZodObject, text: string): void {
  if (api.requestJsonExcess(text) !== undefined) return;
  schema.safeParse(JSON.parse(text));
}

for (const [name, schema, limitBytes] of REQUESTS) {
  test(`the time for a ${name} is linear in its bytes, whatever it is full of`, () => {
    for (const field of [...Object.keys(schema.shape), 'unknown'])
      for (const [what, fill] of Object.entries(FILLINGS))
        assertLinear(
          `${name}: ${field} with ${what}`,
          (length) => `{"${field}":${fill(length)}}`,
          (text) => read(schema, text),
          Math.floor((limitBytes - 100) / 4),
        );
  });
}
