import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MediaNodeStatus } from '@millrace/api';
import { FakeClock } from '@millrace/testkit';
import { carries, entry, presence, report, spec } from '../testing/facts.ts';
import { BandedWriter, type Difference } from './banded-writer.ts';
import { mediaNodeDifference, streamRouteDifference } from './bands.ts';
import { mediaNodeStatus, refusedNodeStatus, type MediaNodeFacts } from './media-node-status.ts';
import { formatTime } from '@millrace/kube';
import { streamRouteStatus } from './stream-route-status.ts';

const NOW = Date.UTC(2030, 0, 1);

function statusOf(more: Partial<MediaNodeFacts> = {}): MediaNodeStatus {
  const heard = presence('n', { report: report(), reportedAt: NOW });
  return mediaNodeStatus({
    spec: spec('n'),
    presence: heard,
    connected: true,
    programmedGeneration: 1,
    conditions: undefined,
    nowMs: NOW,
    ...more,
  });
}

const reporting = (more: Parameters<typeof report>[0], reportedAt = NOW): Partial<MediaNodeFacts> => ({
  presence: presence('n', { report: report(more), reportedAt }),
});
const link = (rttMs: number, more: object = {}) => ({
  peer: 'p',
  state: 'Up' as const,
  rttMs,
  jitterMs: 1,
  lossPercent: 0,
  sendKbps: 0,
  recvKbps: 0,
  ...more,
});
const conditionOf = (status: MediaNodeStatus, type: string) => status.conditions!.find((condition) => condition.type === type)!;

describe('which changes of a MediaNode are written', () => {
  const cases: [string, Partial<MediaNodeFacts>, Partial<MediaNodeFacts>, Difference][] = [
    ['the time of the report', reporting({}), reporting({}, NOW + 60_000), 'none'],
    ['CPU within its step', reporting({ load: { cpuPercent: 20 } }), reporting({ load: { cpuPercent: 29 } }), 'none'],
    ['CPU a step higher', reporting({ load: { cpuPercent: 20 } }), reporting({ load: { cpuPercent: 30 } }), 'value'],
    ['a session more among many', reporting({ load: { sessions: 20 } }), reporting({ load: { sessions: 21 } }), 'none'],
    ['a tenth more sessions', reporting({ load: { sessions: 200 } }), reporting({ load: { sessions: 220 } }), 'value'],
    ['the first session', reporting({}), reporting({ load: { sessions: 1 } }), 'state'],
    ['the last session', reporting({ load: { sessions: 1 } }), reporting({}), 'state'],
    ['RTT within 10%', reporting({ links: [link(100)] }), reporting({ links: [link(109)] }), 'none'],
    ['RTT by 10%', reporting({ links: [link(100)] }), reporting({ links: [link(110)] }), 'value'],
    ['RTT by 50% of next to nothing', reporting({ links: [link(0.2)] }), reporting({ links: [link(0.3)] }), 'none'],
    ['loss by a point', reporting({ links: [link(10)] }), reporting({ links: [link(10, { lossPercent: 1 })] }), 'value'],
    ['a link down', reporting({ links: [link(10)] }), reporting({ links: [link(10, { state: 'Down' })] }), 'state'],
    ['a new link', reporting({}), reporting({ links: [link(10)] }), 'state'],
    ['another process', {}, { presence: presence('n', { connectedAt: 9000, report: report(), reportedAt: NOW }) }, 'state'],
    ['the connection', {}, { connected: false }, 'state'],
    ['an acknowledgement', { programmedGeneration: undefined }, {}, 'state'],
  ];
  for (const [what, before, after, expected] of cases) {
    test(`${what}: ${expected}`, () => assert.equal(mediaNodeDifference(statusOf(before), statusOf(after)), expected));
  }

  test('while it drains: the first report after the acknowledgement at once, then every few seconds', () => {
    const draining = spec('n', { drain: { policy: 'Move', deadlineAt: NOW + 1e6 } });
    const at = (reportedAt: number) => {
      const status = statusOf({ ...reporting({}, reportedAt), spec: draining });
      return status;
    };
    assert.equal(mediaNodeDifference(at(NOW), at(NOW + 1000)), 'state');
    assert.equal(mediaNodeDifference(at(NOW + 1000), at(NOW + 2000)), 'none');
    assert.equal(mediaNodeDifference(at(NOW + 1000), at(NOW + 6000)), 'value');
  });
});

describe('the status of a MediaNode', () => {
  test('without a report there is no load: unknown is not zero', () => {
    const status = statusOf({ presence: presence('n') });
    assert.equal(status.load, undefined);
    assert.equal(status.agent?.lastReportAt, undefined);
  });

  test('Programmed compares generations, and is Unknown for a disconnected node', () => {
    const wanted = spec('n', { generation: 2 });
    assert.equal(conditionOf(statusOf(), 'Programmed').status, 'True');
    assert.equal(conditionOf(statusOf({ spec: wanted }), 'Programmed').status, 'False');
    assert.equal(conditionOf(statusOf({ spec: wanted, connected: false }), 'Programmed').status, 'Unknown');
  });

  test('Draining is True from the acknowledgement on', () => {
    const draining = spec('n', { generation: 2, drain: { policy: 'Wait', deadlineAt: NOW } });
    assert.deepEqual(
      [conditionOf(statusOf({ spec: draining }), 'Draining')].map(({ status, reason }) => [status, reason]),
      [['False', 'NotAcknowledged']],
    );
    assert.equal(conditionOf(statusOf({ spec: draining, programmedGeneration: 2 }), 'Draining').status, 'True');
  });

  test('of more links than the object can hold, those to its assigned peers stay', () => {
    const links = Array.from({ length: 600 }, (_, i) => link(i, { peer: `p${i}` }));
    const wanted = spec('n', { peers: [{ node: 'p599', region: 'r' }] });
    const status = statusOf({ ...reporting({ links }), spec: wanted });
    assert.equal(status.links?.length, 500);
    assert.ok(status.links.some(({ peer }) => peer === 'p599'));
  });

  test('a status that the API rejects is reduced, and says so until one is accepted', () => {
    const whole = statusOf();
    const reduced = refusedNodeStatus(whole, 'Invalid: status.links: Too many', NOW);
    assert.deepEqual([reduced.load, reduced.links, reduced.programmedGeneration], [undefined, undefined, 1]);
    assert.deepEqual(
      [conditionOf(reduced, 'Reported').status, conditionOf(reduced, 'Reported').message],
      ['False', 'The API refuses the report of this node: Invalid: status.links: Too many'],
    );
    const next = statusOf({ conditions: reduced.conditions });
    assert.ok(next.conditions?.every(({ type }) => type !== 'Reported'));
  });

  test('the time of a condition moves only when its status does', () => {
    const { conditions } = statusOf();
    const later = statusOf({ conditions, spec: spec('n', { generation: 2 }), nowMs: NOW + 60_000 });
    assert.equal(conditionOf(later, 'AgentConnected').lastTransitionTime, '2030-01-01T00:00:00Z');
    assert.equal(conditionOf(later, 'Programmed').lastTransitionTime, '2030-01-01T00:01:00Z');
  });
});

describe('the runtime of a StreamRoute', () => {
  const regions: Record<string, string> = { a: 'north', b: 'south', c: 'south', relay: 'east' };
  const facts = (reports: Record<string, ReturnType<typeof carries>>, stream = 'live/x') => ({
    entry: entry(stream),
    carriers: new Map(Object.entries(reports)),
  });
  const runtime = (...given: ReturnType<typeof facts>[]) => streamRouteStatus(given, (node) => regions[node]);

  test('shows for each served region the path from the origin to the node with the most viewers there', () => {
    const { streams, viewers } = runtime(
      facts({
        a: carries('live/x', { role: 'origin', path: [] }),
        relay: carries('live/x', { role: 'relay' }),
        b: carries('live/x', { viewers: 2, path: ['a'] }),
        c: carries('live/x', { viewers: 5, path: ['relay', 'a'], rttMs: 30.04, lossPercent: 0.25 }),
      }),
    );
    assert.equal(viewers, 7);
    assert.deepEqual(streams[0]!.paths, [{ region: 'south', hops: ['a', 'relay', 'c'], rttMs: 30, lossPercent: 0.3 }]);
  });

  test('the longest path that a report can hold fits the object', () => {
    const path = Array.from({ length: 16 }, (_, i) => (i === 15 ? 'a' : `n${i}`));
    const { streams } = runtime(facts({ b: carries('live/x', { viewers: 2, path }) }));
    const hops = streams[0]?.paths?.[0]?.hops ?? [];
    assert.deepEqual([hops.length, hops[0], hops.at(-1)], [16, 'a', 'b']);
  });

  test('shows the state of the publisher as the origin reports it', () => {
    const publisher = { state: 'WaitingForKeyframe' as const, since: NOW, detail: 'Send a keyframe.' };
    const { streams } = runtime(
      facts({
        a: carries('live/x', { role: 'origin', path: [], publisher }),
        b: carries('live/x', { viewers: 2, path: ['a'], publisher: { state: 'Receiving', since: NOW } }),
      }),
    );
    assert.deepEqual(streams[0]!.publisher, { state: 'WaitingForKeyframe', since: formatTime(NOW), message: 'Send a keyframe.' });
    assert.equal(runtime(facts({ a: carries('live/x', { role: 'origin', path: [] }) })).streams[0]!.publisher, undefined);
  });

  test('reports of an earlier epoch do not count', () => {
    assert.equal(
      runtime({ ...facts({ b: carries('live/x', { viewers: 2 }) }), entry: entry('live/x', { epoch: 2 }) }).viewers,
      0,
    );
  });

  test('counts all streams and shows the 32 with the most viewers, by name', () => {
    const many = Array.from({ length: 40 }, (_, i) => facts({ b: carries(`live/${i}`, { viewers: i }) }, `live/${i}`));
    const { activeStreams, streams } = runtime(...many);
    assert.deepEqual([activeStreams, streams.length], [40, 32]);
    assert.ok(streams.every(({ viewers }) => viewers! >= 8));
    assert.deepEqual(
      streams.map(({ name }) => name),
      streams.map(({ name }) => name).sort(),
    );
  });

  test('news: a stream or path that changes is state, viewers and RTT outside their bands are values', () => {
    const one = (viewers: number, rttMs = 20, path = ['a']) => runtime(facts({ b: carries('live/x', { viewers, rttMs, path }) }));
    assert.equal(streamRouteDifference(one(20), one(21)), 'none');
    assert.equal(streamRouteDifference(one(20), one(25)), 'value');
    assert.equal(streamRouteDifference(one(20), one(20, 23)), 'value');
    assert.equal(streamRouteDifference(one(0), one(1)), 'state');
    assert.equal(streamRouteDifference(one(20), one(20, 20, ['relay', 'a'])), 'state');
    assert.equal(streamRouteDifference(one(20), runtime()), 'state');
  });
});

describe('the banded writer', () => {
  type Thing = { state: string; value: number };
  function setUp(fails: () => boolean = () => false, standing?: Thing) {
    const clock = new FakeClock();
    const writes: [number, Thing][] = [];
    const writer = new BandedWriter<Thing>({
      difference: (a, b) => (a.state !== b.state ? 'state' : Math.abs(a.value - b.value) >= 10 ? 'value' : 'none'),
      write: (_key, status) => {
        if (fails()) return Promise.reject(new Error('away'));
        writes.push([clock.now(), status]);
        return Promise.resolve(true);
      },
      clock,
      random: () => 0.5,
    });
    const offer = (state: string, value = 0): void => writer.offer('o', { state, value }, standing);
    return { clock, writes, writer, offer };
  }

  test('a value that stays in its band is written again only after five minutes', async () => {
    const { clock, writes, offer } = setUp();
    for (let second = 0; second < 600; second++) {
      offer('a', second % 9);
      await clock.settle(1000);
    }
    assert.deepEqual(
      writes.map(([at]) => at),
      [0, 270_000, 540_000],
    );
  });

  test('a value that fluctuates is written every 10 s, with its current value', async () => {
    const { clock, writes, offer } = setUp();
    for (let second = 0; second < 31; second++) {
      offer('a', second * 20);
      await clock.settle(1000);
    }
    assert.deepEqual(
      writes.map(([at, { value }]) => [at, value]),
      [
        [0, 0],
        [10_000, 180],
        [20_000, 380],
        [30_000, 580],
      ],
    );
  });

  test('a state change is written at once, and at least a second after the last one', async () => {
    const { clock, writes, offer } = setUp();
    offer('a');
    await clock.settle(5000);
    for (const state of ['b', 'c', 'd', 'e']) {
      offer(state);
      await clock.settle(100);
    }
    await clock.settle(5000);
    assert.deepEqual(
      writes.map(([at, { state }]) => [at, state]),
      [
        [0, 'a'],
        [5000, 'b'],
        [6000, 'e'],
      ],
    );
  });

  test('a value that has returned to its band by then is not written', async () => {
    const { clock, writes, offer } = setUp();
    offer('a', 0);
    await clock.settle(100);
    offer('a', 50);
    await clock.settle(100);
    offer('a', 1);
    await clock.settle(60_000);
    assert.equal(writes.length, 1);
  });

  test('a status that the object already shows is not written after a start', async () => {
    const { clock, writes, offer } = setUp(() => false, { state: 'a', value: 0 });
    offer('a', 5);
    await clock.settle(10_000);
    assert.deepEqual(writes, []);
    offer('b', 5);
    await clock.settle(1);
    assert.equal(writes.length, 1);
  });

  test('a failed write is retried with back-off, with the newest state', async () => {
    let away = true;
    let tries = 0;
    const { clock, writes, offer } = setUp(() => (tries++, away));
    for (let second = 0; second < 300; second++) {
      offer(`s${second}`);
      await clock.settle(1000);
    }
    assert.ok(tries >= 5 && tries < 25, `${tries} tries`);
    away = false;
    await clock.settle(40_000);
    assert.deepEqual(
      writes.map(([, { state }]) => state),
      ['s299'],
    );
  });
});
