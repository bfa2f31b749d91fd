import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_POLICY, type StreamState } from '@millrace/api';
import { StreamBook } from './stream-book.ts';

const state = (stream: string, epoch: number, hold = false): StreamState => ({
  stream,
  epoch,
  origin: { node: 'n', region: 'r', host: '127.0.0.1', port: 1 },
  since: 0,
  policy: DEFAULT_POLICY,
  ...(hold ? { hold } : {}),
});

function newBook() {
  const heard: [string, number | undefined][] = [];
  const book = new StreamBook((stream, known) => heard.push([stream, known?.epoch]));
  return { book, heard };
}

describe('What a node knows of streams', () => {
  test('an older epoch is ignored, a newer one is told of', () => {
    const { book, heard } = newBook();
    book.take(state('a/b', 5));
    book.take(state('a/b', 4));
    book.take(state('a/b', 6));
    assert.deepEqual(heard, [
      ['a/b', 5],
      ['a/b', 6],
    ]);
  });

  test('a full list ends what it does not name, once', () => {
    const { book, heard } = newBook();
    book.replace([state('a/b', 1), state('a/c', 1)]);
    heard.length = 0;
    book.replace([state('a/c', 2)]);
    book.remove('a/b');
    assert.deepEqual(heard, [
      ['a/b', undefined],
      ['a/c', 2],
    ]);
  });

  test('what is released is forgotten, unless it is published here or held', () => {
    const { book } = newBook();
    for (const stream of ['a/viewed', 'a/mine', 'a/held']) book.want(stream);
    book.replace([state('a/viewed', 1), state('a/mine', 1), state('a/held', 1, true)]);
    book.published('a/mine', { epoch: 1, session: 's', tracks: [], grant: 'g' });
    for (const stream of ['a/viewed', 'a/mine', 'a/held']) assert.equal(book.release(stream), true);
    assert.equal(book.release('a/viewed'), false);
    assert.deepEqual(
      book.states.map(({ stream }) => stream),
      ['a/mine', 'a/held'],
    );
  });

  test('only the session and epoch that publish a stream can change its description, and the next connection reports it', () => {
    const { book } = newBook();
    const track = (layers: number[]) => ({
      track: 0,
      kind: 'video' as const,
      codec: { mimeType: 'video/VP8', payloadType: 96, clockRate: 90_000 },
      headerExtensions: [],
      layers: layers.map((layer) => ({ layer, ssrc: 1 + layer })),
    });
    book.published('a/b', { epoch: 2, session: 's', tracks: [track([0, 1])], grant: 'g' });
    assert.equal(book.described('a/b', 1, 's', []), false);
    assert.equal(book.described('a/b', 2, 'other', []), false);
    assert.equal(book.described('a/none', 2, 's', []), false);
    assert.equal(book.described('a/b', 2, 's', [track([1, 0])]), true);
    assert.deepEqual(book.said.publications, [{ stream: 'a/b', epoch: 2, session: 's', tracks: [track([1, 0])], grant: 'g' }]);
  });

  test('only its own session and epoch gives a name back; a kick takes all names of a session', () => {
    const { book } = newBook();
    book.published('a/b', { epoch: 2, session: 'new', tracks: [], grant: 'g' });
    book.published('a/c', { epoch: 3, session: 'new', tracks: [], grant: 'g' });
    book.unpublished('a/b', 1, 'old');
    book.unpublished('a/b', 2, 'old');
    assert.equal(book.said.publications.length, 2);
    book.unpublished('a/b', 2, 'new');
    assert.deepEqual(book.said, {
      publications: [{ stream: 'a/c', epoch: 3, session: 'new', tracks: [], grant: 'g' }],
      subscriptions: [],
    });
    book.kicked('new');
    assert.equal(book.carries('a/c'), false);
  });
});
