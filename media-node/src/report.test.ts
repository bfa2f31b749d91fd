import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Report, type LinkReport } from '@millrace/api';
import type { PublishedStream, StreamHub } from './media/index.ts';
import type { CarriedStats } from './relay/index.ts';
import { buildReport } from './report.ts';
import { SessionRegistry } from './sessions/index.ts';

function carried(stream: string, more: Partial<CarriedStats> = {}): CarriedStats {
  const counters = { packets: 0, bytes: 0, duplicates: 0, stale: 0 };
  return { stream, epoch: 1, role: 'edge', nodes: ['a'], rttMs: 1, lossPercent: 0, ...counters, ...more };
}

function reportOf(
  streams: CarriedStats[],
  links: LinkReport[],
  viewers: Record<string, number>,
  published: Pick<PublishedStream, 'stream' | 'epoch' | 'status'>[] = [],
): Report {
  const served = Object.entries(viewers).map(([stream, count]) => ({ stream, viewers: count }));
  return buildReport({
    at: 0,
    cpuPercent: 1,
    sessions: new SessionRegistry({ sessions: 1, pendingPerAddress: 1 }),
    hub: { served, published } as StreamHub,
    links,
    carried: streams,
  });
}

test('a node with more streams and links than a report may name leaves out those of least interest', () => {
  const streams = Array.from({ length: 6000 }, (_, i) => carried(`live/${i}`));
  const links = Array.from({ length: 600 }, (_, i): LinkReport => {
    const state = i === 599 ? 'Down' : 'Up';
    return { peer: `n${i}`, state, rttMs: 1, jitterMs: 0, lossPercent: 0, sendKbps: 0, recvKbps: 0 };
  });
  const report = Report.parse(reportOf(streams, links, { 'live/5998': 2, 'live/5999': 7 }));
  assert.deepEqual([report.streams.length, report.links.length, report.load.streams], [5000, 500, 6000]);
  assert.deepEqual(
    report.streams.slice(0, 3).map(({ stream, viewers }) => [stream, viewers]),
    [
      ['live/5999', 7],
      ['live/5998', 2],
      ['live/0', 0],
    ],
  );
  assert.ok(
    report.links.some(({ peer }) => peer === 'n599'),
    'a link that is down is named',
  );
});

test('a stream of which nothing has come yet does not spoil the report', () => {
  const report = Report.parse(reportOf([carried('live/a', { epoch: -1 }), carried('live/b')], [], {}));
  assert.deepEqual(
    report.streams.map(({ stream }) => stream),
    ['live/b'],
  );
});

test('a publisher of which nothing has passed the gate yet is reported, with what is wrong', () => {
  const status = { state: 'NoKnownSsrc' as const, since: 5, detail: 'SSRC 7 belongs to no track', tracks: [] };
  const streams = [carried('live/a', { epoch: -1, role: 'origin', nodes: [] })];
  const report = Report.parse(reportOf(streams, [], {}, [{ stream: 'live/a', epoch: 9, status }]));
  const { state, since, detail } = status;
  assert.deepEqual(
    report.streams.map(({ stream, epoch, publisher }) => ({ stream, epoch, publisher })),
    [{ stream: 'live/a', epoch: 9, publisher: { state, since, detail } }],
  );
});

test('what a relay sends over trunks is traffic of its, as the scheduler and the route planner count it', () => {
  const link = { state: 'Up', rttMs: 1, jitterMs: 0, lossPercent: 0 } as const;
  const { load } = reportOf(
    [],
    [
      { peer: 'a', ...link, sendKbps: 1500, recvKbps: 200 },
      { peer: 'b', ...link, sendKbps: 500, recvKbps: 100 },
    ],
    {},
  );
  assert.deepEqual([load.egressMbps, load.ingressMbps], [2, 0.3]);
});
