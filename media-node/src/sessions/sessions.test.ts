import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, test } from 'node:test';
import { createLogger, Problem } from '@millrace/service';
import { FakeClock } from '@millrace/testkit';
import type { Viewer } from '../media/index.ts';
import { Session, SessionMover, SessionRegistry, type Entrant, type SessionMedia, type SessionNotice } from './index.ts';
import { MAX_SESSIONS_PER_TOKEN } from './registry.ts';

const TIMEOUTS = { connectMs: 30_000, interruptedMs: 15_000 };
const logger = createLogger({ service: 'test', level: 'silent' });
const PARTS = { here: 'http://here.example', takesSessions: () => Promise.resolve(true), logger };

function newSession(clock: FakeClock, address = '192.0.2.1'): Session {
  return new Session({ protocol: 'whep', stream: 'live/demo', address, clock, timeouts: TIMEOUTS });
}

describe('the registry', () => {
  test('counts what is being opened, so that a burst cannot overrun the capacity', async () => {
    const clock = new FakeClock();
    const registry = new SessionRegistry({ sessions: 2, pendingPerAddress: 10 });
    let finish: () => void = () => undefined;
    const opening = registry.admit({ address: '192.0.2.1' }, async () => {
      await new Promise<void>((resolve) => (finish = resolve));
      return { session: newSession(clock) };
    });
    assert.equal(registry.size, 1);
    assert.equal(registry.full, false);
    await registry.admit({ address: '192.0.2.1' }, () => Promise.resolve({ session: newSession(clock) }));
    assert.equal(registry.full, true);
    finish();
    await opening;
    assert.equal(registry.size, 2);
  });

  test('gives the slot back when opening fails', async () => {
    const registry = new SessionRegistry({ sessions: 2, pendingPerAddress: 1 });
    await assert.rejects(registry.admit({ address: '192.0.2.1' }, () => Promise.reject(new Error('no'))));
    assert.equal(registry.size, 0);
    await registry.admit({ address: '192.0.2.1' }, () => Promise.resolve({ session: newSession(new FakeClock()) }));
  });

  test('refuses an address with too many sessions that have not connected, and no other', async () => {
    const clock = new FakeClock();
    const registry = new SessionRegistry({ sessions: 10, pendingPerAddress: 1 });
    const open = (address: string): Promise<unknown> =>
      registry.admit({ address }, () => Promise.resolve({ session: newSession(clock, address) }));
    await open('192.0.2.1');
    await assert.rejects(open('192.0.2.1'), (error: unknown) => error instanceof Problem && error.status === 429);
    await open('192.0.2.2');
    registry.all()[0]!.markConnected();
    await open('192.0.2.1');
  });

  test('bounds the sessions of one token and the plain RTP sessions of one address, and frees what ends', async () => {
    const clock = new FakeClock();
    const registry = new SessionRegistry({ sessions: 1000, pendingPerAddress: 1000, plainPerAddress: 2 });
    let addresses = 0;
    const open = (entrant: Partial<Entrant>): Promise<unknown> =>
      registry.admit({ address: `198.51.100.${(addresses += 1)}`, ...entrant }, () =>
        Promise.resolve({ session: newSession(clock) }),
      );
    const refused = (entrant: Partial<Entrant>, why: RegExp): Promise<void> =>
      assert.rejects(open(entrant), (error: unknown) => {
        assert.ok(error instanceof Problem && error.status === 429);
        assert.match(error.detail!, why);
        return true;
      });
    for (let i = 0; i < MAX_SESSIONS_PER_TOKEN; i++) await open({ tokenId: 'one' });
    await refused({ tokenId: 'one' }, /your token has 64 sessions here, at most 64 are allowed.*a token for each client/);
    await open({ tokenId: 'another' });
    registry.all()[0]!.close('over');
    await assert.rejects(
      registry.admit({ address: '192.0.2.1', tokenId: 'one' }, () => Promise.reject(new Error('no'))),
      /^Error: no$/,
    );
    await open({ tokenId: 'one' });

    const plain = { address: '192.0.2.7', isPlain: true };
    for (let i = 0; i < 2; i++) await open(plain);
    await refused(plain, /plain RTP: your address has 2 sessions here, at most 2 are allowed/);
    await open({ address: '192.0.2.7' });
    registry.closeAll('over');
    await open(plain);
  });

  test('forgets a session that never connects', async () => {
    const clock = new FakeClock();
    const registry = new SessionRegistry({ sessions: 10, pendingPerAddress: 10 });
    const reasons: string[] = [];
    registry.on('removed', (_, reason) => reasons.push(reason));
    await registry.admit({ address: '192.0.2.1' }, () => Promise.resolve({ session: newSession(clock) }));
    clock.advance(29_999);
    assert.equal(registry.size, 1);
    clock.advance(1);
    assert.equal(registry.size, 0);
    assert.deepEqual(reasons, ['the client never connected']);
    assert.equal(clock.pendingTimers, 0);
  });
});

describe('a draining node', () => {
  async function drain(alternatives: string[], kind: 'push' | 'pull' = 'pull', here = PARTS.here) {
    const clock = new FakeClock();
    const sessions = new SessionRegistry({ sessions: 10, pendingPerAddress: 10 });
    const { session } = await sessions.admit({ address: '192.0.2.1' }, () => Promise.resolve({ session: newSession(clock) }));
    session.markConnected();
    if (kind === 'push') session.media = { kind, published: { origin: { close: () => undefined } } } as unknown as SessionMedia;
    const notices: SessionNotice[] = [];
    session.on('notice', (notice) => notices.push(notice));
    const mover = new SessionMover({ ...PARTS, here, sessions, alternatives: () => Promise.resolve(alternatives), clock });
    mover.drain(clock.wall() + 60_000, 'draining');
    await clock.settle(40_000);
    return { notices, clock, mover, session };
  }

  test('whose clients came by HTTPS sends none of them to plain HTTP', async () => {
    const here = 'https://here.example';
    const urlsOf = async (alternatives: string[]) =>
      (await drain(alternatives, 'pull', here)).notices.map(({ data }) => (data as { url: string }).url);
    assert.deepEqual(await urlsOf(['http://plain.example', 'https://tls.example']), ['https://tls.example/whep/live/demo']);
    assert.deepEqual(await urlsOf(['http://plain.example']), []);
  });

  test('tells each session once where to go and until when', async () => {
    const { notices, clock, mover } = await drain(['http://other.example', 'http://third.example']);
    mover.drain(clock.wall() + 20_000, 'draining');
    await clock.settle(1000);
    assert.deepEqual(notices, [
      {
        event: 'move',
        data: {
          url: 'http://other.example/whep/live/demo',
          signaling: 'http://other.example',
          reason: 'draining',
          deadlineAt: '2030-01-01T00:01:00.000Z',
        },
      },
    ]);
  });

  test('leaves sessions alone when no other node takes them', async () => {
    assert.deepEqual((await drain([])).notices, []);
  });

  test('tells a publisher under which address its name is its own there', async () => {
    const { notices, session } = await drain(['http://other.example'], 'push');
    const url = `http://other.example/whip/live/demo?replaces=${session.id}`;
    assert.deepEqual(
      notices.map((notice) => notice.event === 'move' && notice.data.url),
      [url],
    );
  });

  test('a listener that comes late still hears of the move', async () => {
    const clock = new FakeClock();
    const session = newSession(clock);
    session.notify({ event: 'move', data: { url: 'http://other.example', signaling: '', reason: 'draining', deadlineAt: '' } });
    session.notify({ event: 'layers', data: [] });
    assert.equal(session.standingNotice?.event, 'move');
    session.close('gone');
    assert.equal(session.standingNotice.event, 'ended');
    await clock.settle();
  });
});

describe('a session whose media is displaced', () => {
  /** Sessions of one worker, which dies; `aliveAfterMs`: when the node takes sessions again, absent: never. */
  async function workerDies(count: number, options: { aliveAfterMs?: number; alternatives?: string[] }) {
    const clock = new FakeClock();
    const sessions = new SessionRegistry({ sessions: count, pendingPerAddress: count });
    const { aliveAfterMs = Infinity, alternatives = [] } = options;
    const takesSessions = async (withinMs: number): Promise<boolean> => {
      const waitMs = Math.max(0, aliveAfterMs - clock.now());
      await new Promise<void>((resolve) => clock.setTimeout(resolve, Math.min(withinMs, waitMs)));
      return clock.now() >= aliveAfterMs;
    };
    new SessionMover({ ...PARTS, takesSessions, sessions, alternatives: () => Promise.resolve(alternatives), clock });
    const said: { atMs: number; notice: SessionNotice }[] = [];
    for (let i = 0; i < count; i++) {
      const viewer = new EventEmitter() as unknown as Viewer;
      const transport = Object.assign(new EventEmitter(), { type: 'webrtc' });
      Object.assign(viewer, { transport, close: () => undefined });
      const session = newSession(clock);
      session.bind({ kind: 'pull', viewer, selections: [] });
      session.markConnected();
      session.on('notice', (notice) => said.push({ atMs: clock.now(), notice }));
      await sessions.admit({ address: '192.0.2.1' }, () => Promise.resolve({ session }));
      viewer.emit('closed', 'the media worker died', 'displaced');
    }
    await clock.settle(30_000);
    assert.equal(sessions.size, 0, 'none is left behind');
    assert.equal(clock.pendingTimers, 0);
    return said;
  }
  const places = (said: { notice: SessionNotice }[]): string[] =>
    said.flatMap(({ notice }) => (notice.event === 'move' ? [notice.data.signaling] : []));

  test('is told to come back to where its stream is at hand, then ended', async () => {
    const said = await workerDies(1, { aliveAfterMs: 250, alternatives: ['http://other.example'] });
    assert.deepEqual(
      said.map(({ notice }) => notice.event),
      ['move', 'ended'],
    );
    assert.deepEqual(places(said), ['http://here.example']);
  });

  test('is sent elsewhere when the worker does not come back within a second', async () => {
    const said = await workerDies(1, { aliveAfterMs: 4000, alternatives: ['http://other.example'] });
    assert.deepEqual(places(said), ['http://other.example']);
  });

  test('waits for the worker when nobody else takes it', async () => {
    const said = await workerDies(1, { aliveAfterMs: 4000 });
    assert.deepEqual(places(said), ['http://here.example']);
    assert.equal(said[0]!.atMs, 4000);
  });

  test('ends without a place when there is none', async () => {
    assert.deepEqual(
      (await workerDies(1, {})).map(({ notice }) => notice.event),
      ['ended'],
    );
  });

  test('comes back a little after the one before it', async () => {
    const said = await workerDies(100, { aliveAfterMs: 0 });
    const moves = said.filter(({ notice }) => notice.event === 'move').map(({ atMs }) => atMs);
    assert.equal(moves.length, 100);
    assert.ok(moves.every((atMs, i) => i === 0 || atMs - moves[i - 1]! >= 5));
  });
});

test('the last word on a session stands for those who listen late', () => {
  const session = newSession(new FakeClock());
  const move: SessionNotice = { event: 'move', data: { url: 'http://a.example', signaling: '', reason: '', deadlineAt: '' } };
  session.notify({ event: 'paused', data: { reason: 'the publisher is gone' } });
  const standing = (): string | undefined => session.standingNotice?.event;
  assert.equal(standing(), 'paused');
  session.notify({ event: 'resumed', data: {} });
  assert.equal(standing(), undefined);
  session.notify(move);
  session.notify({ event: 'paused', data: { reason: 'the publisher is gone' } });
  assert.equal(standing(), 'move');
});
