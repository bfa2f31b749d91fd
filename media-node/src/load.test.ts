import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '@millrace/testkit';
import { LoadMeter } from './load.ts';
import type { Session } from './sessions/index.ts';

const MBPS = 1e6;

/** Viewers of one stream, each sent at its own rate. */
function viewers(stream: string, sendBps: readonly number[]) {
  let asked = 0;
  const sessions = sendBps.map((bps) => {
    const getStats = () => {
      asked += 1;
      return Promise.resolve([{ recvBitrate: 0, sendBitrate: bps }]);
    };
    return { kind: 'pull', stream, rates: { receiveBps: 0, sendBps: 0 }, transport: { closed: false, getStats } };
  });
  return { sessions: sessions as unknown as Session[], asked: () => asked };
}

const total = (sessions: readonly Session[]): number => sessions.reduce((sum, { rates }) => sum + rates.sendBps, 0) / MBPS;

describe('the traffic of a node', () => {
  test('is known within a second, whatever the number of viewers, and for a bounded number of questions', async () => {
    const { sessions, asked } = viewers('live/a', Array<number>(1000).fill(2 * MBPS));
    await new LoadMeter(new FakeClock(), 1).sampleRates(sessions);
    assert.equal(total(sessions), 2000);
    assert.equal(asked(), 16);
  });

  test('of streams of different rates is not mixed', async () => {
    const [a, b] = [viewers('live/a', Array<number>(8).fill(MBPS)), viewers('live/b', Array<number>(40).fill(4 * MBPS))];
    await new LoadMeter(new FakeClock(), 1).sampleRates([...a.sessions, ...b.sessions]);
    assert.deepEqual([total(a.sessions), total(b.sessions)], [8, 160]);
  });

  test('follows viewers of one stream who are sent different layers', async () => {
    const rates = Array.from({ length: 64 }, (_, i) => (i % 4 === 0 ? 4 * MBPS : MBPS));
    const { sessions } = viewers('live/a', rates);
    const [clock, all] = [new FakeClock(), sessions];
    const load = new LoadMeter(clock, 1);
    for (let second = 0; second < 4; second++, clock.advance(1000)) await load.sampleRates(all);
    assert.equal(total(all), rates.reduce((sum, rate) => sum + rate, 0) / MBPS);
  });

  test('of few sessions is what each of them says', async () => {
    const { sessions } = viewers('live/a', [MBPS, 3 * MBPS]);
    await new LoadMeter(new FakeClock(), 1).sampleRates(sessions);
    assert.deepEqual(
      sessions.map(({ rates }) => rates.sendBps / MBPS),
      [1, 3],
    );
  });
});
