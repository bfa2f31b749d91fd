import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { eventStream, parseEvents } from './event-stream.ts';

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

test('events are parsed; comments and events without data are skipped', async () => {
  assert.deepEqual(await parse([new TextEncoder().encode(text)]), expected);
});

test('the result does not depend on how the bytes are split into chunks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 40 }), async (size) => {
      assert.deepEqual(await parseInPieces(text, size), expected);
    }),
  );
});

const TIMES = { reconnectMs: 1, answerMs: 50, quietMs: 50 };

/** A node that handles the nth request for events with `answer`. */
async function nodeThat(t: TestContext, answer: (nth: number, response: ServerResponse) => void): Promise<string> {
  let requests = 0;
  const server = createServer((_request, response) => answer(requests++, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const begin = (response: ServerResponse): void => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
};

test(
  'a node that accepts the connection and never answers is distinguished from one that refuses',
  { timeout: 10_000 },
  async (t) => {
    const lost: boolean[] = [];
    const url = await nodeThat(t, (nth, response) => {
      if (nth === 0) return;
      if (nth === 1) return void response.destroy();
      response.writeHead(404).end();
    });
    const events = eventStream(
      url,
      {},
      new AbortController().signal,
      { onLost: (unanswered) => lost.push(unanswered) },
      { ...TIMES, answerMs: 200 },
    );
    for await (const event of events) assert.fail(JSON.stringify(event));
    assert.deepEqual(lost, [true, false]);
  },
);

test('a connection that falls silent is reopened, and no event is lost', { timeout: 10_000 }, async (t) => {
  const url = await nodeThat(t, (nth, response) => {
    begin(response);
    if (nth > 0) response.end('event: ended\ndata: {}\n\n');
  });
  const lost: boolean[] = [];
  const seen: string[] = [];
  const signal = new AbortController().signal;
  for await (const { event } of eventStream(url, {}, signal, { onLost: (un) => lost.push(un) }, TIMES)) seen.push(event);
  assert.deepEqual(seen, ['ended']);
  assert.deepEqual(lost, [], 'a node that answers at once is not in doubt');
});

test('redial reopens the connection', { timeout: 10_000 }, async (t) => {
  const url = await nodeThat(t, (nth, response) => {
    begin(response);
    if (nth > 0) response.end('event: ended\ndata: {}\n\n');
  });
  let opened = 0;
  const onOpen = (redial: () => void): void => {
    if (opened++ === 0) redial();
  };
  const times = { ...TIMES, answerMs: 5_000, quietMs: 60_000 };
  const seen: string[] = [];
  for await (const { event } of eventStream(url, {}, new AbortController().signal, { onOpen }, times)) seen.push(event);
  assert.deepEqual([opened, seen], [2, ['ended']]);
});
