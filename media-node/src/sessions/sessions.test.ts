import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createLogger, FakeClock, Problem } from '@millrace/service';
import { Session, SessionMover, SessionRegistry, type SessionNotice } from './index.ts';

const TIMEOUTS = { connectMs: 30_000, interruptedMs: 15_000 };
const logger = createLogger({ service: 'test', level: 'silent' });

function newSession(clock: FakeClock, address = '192.0.2.1'): Session {
  return new Session({ protocol: 'whep', stream: 'live/demo', address, clock, timeouts: TIMEOUTS });
}

describe('the registry', () => {
  test('counts what is being opened, so that a burst cannot overrun the capacity', async () => {
    const clock = new FakeClock();
    const registry = new SessionRegistry({ sessions: 2, pendingPerAddress: 10 });
    let finish: () => void = () => undefined;
    const opening = registry.admit('192.0.2.1', async () => {
      await new Promise<void>((resolve) => (finish = resolve));
      return { session: newSession(clock) };
    });
    assert.equal(registry.size, 1);
    assert.equal(registry.full, false);
    await registry.admit('192.0.2.1', () => Promise.resolve({ session: newSession(clock) }));
    assert.equal(registry.full, true);
    finish();
    await opening;
    assert.equal(registry.size, 2);
  });

  test('gives the slot back when opening fails', async () => {
    const registry = new SessionRegistry({ sessions: 2, pendingPerAddress: 1 });
    await assert.rejects(registry.admit('192.0.2.1', () => Promise.reject(new Error('no'))));
    assert.equal(registry.size, 0);
    await registry.admit('192.0.2.1', () => Promise.resolve({ session: newSession(new FakeClock()) }));
  });

  test('refuses an address with too many sessions that have not connected, and no other', async () => {
    const clock = new FakeClock();
    const registry = new SessionRegistry({ sessions: 10, pendingPerAddress: 1 });
    const open = (address: string): Promise<unknown> =>
      registry.admit(address, () => Promise.resolve({ session: newSession(clock, address) }));
    await open('192.0.2.1');
    await assert.rejects(open('192.0.2.1'), (error: unknown) => error instanceof Problem && error.status === 429);
    await open('192.0.2.2');
    registry.all()[0]!.markConnected();
    await open('192.0.2.1');
  });

  test('forgets a session that never connects', async () => {
    const clock = new FakeClock();
    const registry = new SessionRegistry({ sessions: 10, pendingPerAddress: 10 });
    const reasons: string[] = [];
    registry.on('removed', (_, reason) => reasons.push(reason));
    await registry.admit('192.0.2.1', () => Promise.resolve({ session: newSession(clock) }));
    clock.advance(29_999);
    assert.equal(registry.size, 1);
    clock.advance(1);
    assert.equal(registry.size, 0);
    assert.deepEqual(reasons, ['the client never connected']);
    assert.equal(clock.pendingTimers, 0);
  });
});

describe('a draining node', () => {
  async function drain(alternatives: string[]): Promise<{ notices: SessionNotice[]; clock: FakeClock; mover: SessionMover }> {
    const clock = new FakeClock();
    const sessions = new SessionRegistry({ sessions: 10, pendingPerAddress: 10 });
    const { session } = await sessions.admit('192.0.2.1', () => Promise.resolve({ session: newSession(clock) }));
    session.markConnected();
    const notices: SessionNotice[] = [];
    session.on('notice', (notice) => notices.push(notice));
    const mover = new SessionMover({ sessions, alternatives: () => Promise.resolve(alternatives), logger, clock });
    mover.drain(clock.wall() + 60_000, 'draining');
    await clock.settle(40_000);
    return { notices, clock, mover };
  }

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
