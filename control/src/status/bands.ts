import { isDeepStrictEqual } from 'node:util';
import type { MediaNodeStatus, StreamRouteStatus } from '@millrace/api';
import type { Difference } from './banded-writer.ts';

type Load = NonNullable<MediaNodeStatus['load']>;
type Link = NonNullable<MediaNodeStatus['links']>[number];
interface Measured {
  rttMs?: number | undefined;
  jitterMs?: number | undefined;
  lossPercent?: number | undefined;
  mtuBytes?: number | undefined;
}

/** Band around a written value: a new value counts once it differs by this share and by at least this amount. */
const BANDS = {
  cpuPercent: { part: 0, least: 10 },
  Mbps: { part: 0.1, least: 10 },
  count: { part: 0.1, least: 5 },
  rttMs: { part: 0.1, least: 1 },
  jitterMs: { part: 0.25, least: 2 },
  lossPercent: { part: 0.25, least: 1 },
};

function outside(band: { part: number; least: number }, written: number | undefined, now: number | undefined): boolean {
  if (written === undefined || now === undefined) return written !== now;
  return Math.abs(now - written) >= Math.max(band.least, band.part * Math.abs(written));
}

/** While a node drains, the operator waits for fresh reports of the sessions left. */
const DRAIN_REPORT_MS = 5000;

/** How a new status differs from the written one. The time of the report does not count, unless the node drains. */
export function mediaNodeDifference(written: MediaNodeStatus, now: MediaNodeStatus): Difference {
  const { lastReportAt: _, ...agentThen } = written.agent ?? {};
  const { lastReportAt: __, ...agentNow } = now.agent ?? {};
  const same =
    isDeepStrictEqual(agentThen, agentNow) &&
    isDeepStrictEqual(written.endpoints, now.endpoints) &&
    isDeepStrictEqual(written.kernel, now.kernel) &&
    isDeepStrictEqual(written.conditions, now.conditions) &&
    written.programmedGeneration === now.programmedGeneration &&
    written.protocol === now.protocol &&
    written.version === now.version &&
    written.cpus === now.cpus &&
    linkStates(written.links) === linkStates(now.links) &&
    // The operator may delete a node once it is empty.
    isEmpty(written.load) === isEmpty(now.load);
  if (!same) return 'state';
  const drain = drainNews(written, now);
  if (drain !== 'none') return drain;
  return loadMoved(written.load, now.load) || linksMoved(written.links, now.links) ? 'value' : 'none';
}

/** The first report after the acknowledgement is written at once: the operator waits for it to delete an empty node. */
function drainNews(written: MediaNodeStatus, now: MediaNodeStatus): Difference {
  const draining = now.conditions?.find((condition) => condition.type === 'Draining');
  if (draining?.status !== 'True') return 'none';
  const acknowledgedAt = Date.parse(draining.lastTransitionTime);
  const [before, after] = [written, now].map((status) => Date.parse(status.agent?.lastReportAt ?? '') || 0) as [number, number];
  if (before <= acknowledgedAt && after > acknowledgedAt) return 'state';
  return after - before >= DRAIN_REPORT_MS ? 'value' : 'none';
}

function isEmpty(load: Load | undefined): boolean | undefined {
  return load && (load.sessions ?? 0) === 0;
}

function loadMoved(written: Load | undefined, now: Load | undefined): boolean {
  return (
    outside(BANDS.cpuPercent, written?.cpuPercent, now?.cpuPercent) ||
    outside(BANDS.Mbps, written?.egressMbps, now?.egressMbps) ||
    outside(BANDS.Mbps, written?.ingressMbps, now?.ingressMbps) ||
    (['sessions', 'publishers', 'viewers', 'streams'] as const).some((field) =>
      outside(BANDS.count, written?.[field], now?.[field]),
    )
  );
}

function linkStates(links: readonly Link[] | undefined): string {
  return (links ?? []).map(({ peer, state }) => `${peer} ${state}`).join();
}

function linksMoved(written: readonly Link[] | undefined, now: readonly Link[] | undefined): boolean {
  const before = new Map((written ?? []).map((link) => [link.peer, link]));
  return (now ?? []).some((link) => moved(before.get(link.peer), link));
}

function moved(written: Measured | undefined, now: Measured): boolean {
  return (
    outside(BANDS.rttMs, written?.rttMs, now.rttMs) ||
    outside(BANDS.jitterMs, written?.jitterMs, now.jitterMs) ||
    outside(BANDS.lossPercent, written?.lossPercent, now.lossPercent) ||
    written?.mtuBytes !== now.mtuBytes
  );
}

type Runtime = Pick<StreamRouteStatus, 'activeStreams' | 'viewers' | 'streams'>;

/** Streams that come, go or move and paths that change are state; viewers and measurements are values. */
export function streamRouteDifference(written: Runtime, now: Runtime): Difference {
  const same =
    written.activeStreams === now.activeStreams &&
    (written.viewers === 0) === (now.viewers === 0) &&
    isDeepStrictEqual((written.streams ?? []).map(shapeOf), (now.streams ?? []).map(shapeOf));
  if (!same) return 'state';
  if (outside(BANDS.count, written.viewers, now.viewers)) return 'value';
  const paths = (runtime: Runtime): Measured[] => (runtime.streams ?? []).flatMap((stream) => stream.paths ?? []);
  const viewers = (runtime: Runtime): (number | undefined)[] => (runtime.streams ?? []).map((stream) => stream.viewers);
  const [pathsThen, viewersThen] = [paths(written), viewers(written)];
  const news =
    paths(now).some((path, i) => moved(pathsThen[i], path)) ||
    viewers(now).some((count, i) => outside(BANDS.count, viewersThen[i], count));
  return news ? 'value' : 'none';
}

function shapeOf({ name, epoch, origin, paths }: NonNullable<Runtime['streams']>[number]): unknown {
  return { name, epoch, origin, paths: (paths ?? []).map(({ region, hops }) => ({ region, hops })) };
}
