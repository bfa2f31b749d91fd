import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { KubeError } from './errors.ts';
import { jsonLines } from './json-lines.ts';

async function* chunksOf(bytes: Uint8Array, sizes: number[]): AsyncGenerator<Uint8Array, void> {
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const read = async (text: string | Uint8Array, sizes = [7], maxBytes?: number): Promise<unknown[]> => {
  const values: unknown[] = [];
  for await (const value of jsonLines(chunksOf(Buffer.from(text), sizes), maxBytes)) values.push(value);
  return values;
};

describe('JSON lines', () => {
  test('the values arrive however the bytes are split', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.jsonValue(), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }),
        fc.boolean(),
        async (values, sizes, lastFeed) => {
          const text = values.map((value) => JSON.stringify(value)).join('\n') + (lastFeed ? '\n' : '');
          assert.deepEqual(await read(text, sizes), JSON.parse(JSON.stringify(values)));
        },
      ),
    );
  });

  test('any invalid input gives a KubeError', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
        await read(bytes).catch((error: unknown) => {
          assert.ok(error instanceof KubeError && error.reason === 'BadAnswer', String(error));
        });
      }),
    );
  });

  test('a line without an end is rejected at the maximum length', async () => {
    await assert.rejects(read(`"${'x'.repeat(200)}"`, [50], 100), /longer than 100 bytes/);
  });
});
