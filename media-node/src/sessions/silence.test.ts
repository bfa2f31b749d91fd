import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '@millrace/service';
import fc from 'fast-check';
import { listen, SILENT_MS, SilenceWatch, type Heard } from './silence.ts';
import type { Session } from './session.ts';

const logger = createLogger({ service: 'test', level: 'silent' });

function publisher(): { session: Session; bytes: number; closed: string[] } {
  const state = { bytes: 0, closed: [] as string[] };
  const transport = { closed: false, getStats: () => Promise.resolve([{ bytesReceived: state.bytes }]) };
  const session = { kind: 'push', state: 'connected', transport, close: (reason: string) => state.closed.push(reason) };
  return Object.assign(state, { session: session as unknown as Session });
}

test('a publisher is ended once it has been silent for 10 s, and not before', async () => {
  const one = publisher();
  const watch = new SilenceWatch({ sessions: { all: () => [one.session] }, logger });
  one.bytes = 500;
  for (let at = 0; at <= SILENT_MS - 1000; at += 1000) await watch.look(at);
  assert.deepEqual(one.closed, []);
  await watch.look(SILENT_MS);
  assert.deepEqual(one.closed, ['the publisher fell silent']);
});

test('one packet begins the wait anew', async () => {
  const one = publisher();
  const watch = new SilenceWatch({ sessions: { all: () => [one.session] }, logger });
  for (let at = 0; at < 60_000; at += 1000) {
    if (at % 9000 === 0) one.bytes += 60;
    await watch.look(at);
  }
  assert.deepEqual(one.closed, []);
});

test('a publisher that has not sent yet is left to the session’s own timeout', async () => {
  const one = publisher();
  const watch = new SilenceWatch({ sessions: { all: () => [one.session] }, logger });
  for (let at = 0; at < 60_000; at += 1000) await watch.look(at);
  assert.deepEqual(one.closed, []);
});

test('a node that stood still does not blame its publishers', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 600_000 }), { maxLength: 4 }), (gapsMs) => {
      let heard: Heard | undefined;
      for (const gapMs of gapsMs) heard = listen(heard, 100, gapMs);
      assert.ok((heard?.silentMs ?? 0) < SILENT_MS);
    }),
  );
});
