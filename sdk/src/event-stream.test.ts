import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseEvents } from './event-stream.ts';

async function parse(chunks: Uint8Array[]) {
  const events = [];
  for await (const event of parseEvents(new Blob(chunks.map((chunk) => new Uint8Array(chunk))).stream())) events.push(event);
  return events;
}

async function parseInPieces(text: string, size: number) {
  const bytes = new TextEncoder().encode(text);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let i = 0; i < bytes.length; i += size) controller.enqueue(bytes.slice(i, i + size));
      controller.close();
    },
  });
  const events = [];
  for await (const event of parseEvents(body)) events.push(event);
  return events;
}

const text = ': keep-alive\n\nevent: move\ndata: {"url":"http://ü"}\n\ndata: a\ndata: b\n\nevent: lonely\n\n';
const expected = [
  { event: 'move', data: '{"url":"http://ü"}' },
  { event: 'message', data: 'a\nb' },
];

test('events are told apart, comments and events without data are passed over', async () => {
  assert.deepEqual(await parse([new TextEncoder().encode(text)]), expected);
});

test('it does not matter how the network cuts the bytes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 40 }), async (size) => {
      assert.deepEqual(await parseInPieces(text, size), expected);
    }),
  );
});
