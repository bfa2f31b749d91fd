import type { StreamReport, StreamRouteStatus } from '@millrace/api';
import { maxItemsOf } from '@millrace/api/crd-bounds';
import { streamRouteCrd } from '@millrace/api/crds/definitions';
import { formatTime } from '@millrace/kube';
import type { StreamEntry } from '../directory/index.ts';
import { tenths } from './media-node-status.ts';

export type StreamRouteRuntime = Required<Pick<StreamRouteStatus, 'activeStreams' | 'viewers' | 'streams'>>;
type Stream = StreamRouteRuntime['streams'][number];
type Path = NonNullable<Stream['paths']>[number];

const MAX_INT32 = 2 ** 31 - 1;
const MAX_STREAMS = maxItemsOf(streamRouteCrd, 'status.streams');
const MAX_PATHS = maxItemsOf(streamRouteCrd, 'status.streams[].paths');
const MAX_HOPS = maxItemsOf(streamRouteCrd, 'status.streams[].paths[].hops');

export interface StreamFacts {
  entry: StreamEntry;
  /** By node. */
  carriers: ReadonlyMap<string, StreamReport>;
}

/** The runtime fields of a StreamRoute: the number of its streams, and those with the most viewers. */
export function streamRouteStatus(
  streams: readonly StreamFacts[],
  regionOf: (node: string) => string | undefined,
): StreamRouteRuntime {
  const counted = streams.map(({ entry, carriers }) => {
    const reports = [...carriers].filter(([, report]) => report.epoch === entry.epoch);
    return { entry, reports, viewers: sumOf(reports.map(([, report]) => report.viewers)) };
  });
  const shown = [...counted]
    .sort((a, b) => b.viewers - a.viewers || (a.entry.stream < b.entry.stream ? -1 : 1))
    .slice(0, MAX_STREAMS);
  // Sorted by name, so that two streams with similar numbers of viewers do not swap places all the time.
  shown.sort((a, b) => (a.entry.stream < b.entry.stream ? -1 : 1));
  return {
    activeStreams: streams.length,
    viewers: sumOf(counted.map(({ viewers }) => viewers)),
    streams: shown.map(({ entry, reports, viewers }) => ({
      name: entry.stream,
      epoch: entry.epoch,
      since: formatTime(entry.since),
      origin: { region: entry.region, node: entry.node },
      viewers,
      ...publisherOf(entry, reports),
      paths: pathsOf(entry, reports, regionOf),
    })),
  };
}

/** As much as the object can hold. */
function sumOf(counts: readonly number[]): number {
  const sum = counts.reduce((total, count) => total + count, 0);
  return Math.min(MAX_INT32, sum);
}

/** The publisher's state, as reported by the origin. */
function publisherOf(entry: StreamEntry, reports: readonly [string, StreamReport][]): Pick<Stream, 'publisher'> {
  const publisher = reports.find(([node]) => node === entry.node)?.[1].publisher;
  if (!publisher) return {};
  const { state, since, detail } = publisher;
  return { publisher: { state, since: formatTime(since), ...(detail === undefined ? {} : { message: detail }) } };
}

/** A reduced status for when the API rejects the whole one: streams are counted but not listed. */
export function countsOf({ activeStreams, viewers }: StreamRouteRuntime): StreamRouteRuntime {
  return { activeStreams, viewers, streams: [] };
}

/** For each served region, the path to the node with the most viewers. */
function pathsOf(
  entry: StreamEntry,
  reports: readonly [string, StreamReport][],
  regionOf: (node: string) => string | undefined,
): Path[] {
  const best = new Map<string, { node: string; report: StreamReport }>();
  for (const [node, report] of reports) {
    const region = regionOf(node);
    const serves = report.role === 'edge' || (report.role === 'origin' && report.viewers > 0);
    if (region === undefined || !serves) continue;
    const known = best.get(region);
    const wins =
      !known || report.viewers > known.report.viewers || (report.viewers === known.report.viewers && node < known.node);
    if (wins) best.set(region, { node, report });
  }
  return [...best]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, MAX_PATHS)
    .map(([region, { node, report }]) => ({
      region,
      hops:
        node === entry.node
          ? [node]
          : [...report.path]
              .reverse()
              .slice(0, MAX_HOPS - 1)
              .concat(node),
      rttMs: tenths(report.rttMs),
      lossPercent: tenths(report.lossPercent),
    }));
}
