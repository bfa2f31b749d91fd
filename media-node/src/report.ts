import {
  MAX_REPORT_LINKS,
  MAX_REPORT_STREAMS,
  type LinkReport,
  type NodeLoad,
  type PublisherStatus,
  type Report,
  type StreamReport,
} from '@millrace/api';
import type { StreamHub } from './media/index.ts';
import type { CarriedStats } from './relay/index.ts';
import type { SessionRegistry } from './sessions/index.ts';

/** What this node tells control each second. */
export function buildReport(parts: {
  at: number;
  cpuPercent: number;
  sessions: SessionRegistry;
  hub: StreamHub;
  links: readonly LinkReport[];
  carried: readonly CarriedStats[];
  problems?: string[];
  /** How things stand with the silence of a stream's publisher here. */
  silenceOf?: (stream: string) => StreamReport['silence'];
}): Report {
  const streams = streamReports(parts.hub, parts.carried, parts.silenceOf ?? (() => undefined));
  return {
    at: parts.at,
    load: loadOf(parts.sessions, parts.links, parts.cpuPercent, streams.length),
    links: bounded(parts.links, MAX_REPORT_LINKS, ({ state }) => (state === 'Up' ? 1 : 0)),
    streams: bounded(streams, MAX_REPORT_STREAMS, ({ viewers }) => -viewers),
    ...(parts.problems?.length ? { problems: parts.problems } : {}),
  };
}

/** Drops the least important entries, because control refuses a report that exceeds the protocol's limits as a whole. */
function bounded<T>(all: readonly T[], max: number, rank: (item: T) => number): T[] {
  if (all.length <= max) return [...all];
  return all.toSorted((a, b) => rank(a) - rank(b)).slice(0, max);
}

/** Traffic is that with clients and over trunks together: both leave by the same network card and are paid for. */
function loadOf(sessions: SessionRegistry, links: readonly LinkReport[], cpuPercent: number, streams: number): NodeLoad {
  const all = sessions.all();
  const publishers = all.filter(({ kind }) => kind === 'push').length;
  const mbps = (rate: 'sendBps' | 'receiveBps', trunkRate: 'sendKbps' | 'recvKbps'): number => {
    const clientsBps = all.reduce((sum, { rates }) => sum + rates[rate], 0);
    const trunksKbps = links.reduce((sum, link) => sum + link[trunkRate], 0);
    return round(clientsBps / 1e6 + trunksKbps / 1e3);
  };
  return {
    cpuPercent: round(cpuPercent),
    egressMbps: mbps('sendBps', 'sendKbps'),
    ingressMbps: mbps('receiveBps', 'recvKbps'),
    sessions: sessions.size,
    publishers,
    viewers: all.length - publishers,
    streams,
  };
}

function streamReports(
  hub: StreamHub,
  carried: readonly CarriedStats[],
  silenceOf: (stream: string) => StreamReport['silence'],
): StreamReport[] {
  const viewers = new Map(hub.served.map((served) => [served.stream, served.viewers]));
  const published = new Map(hub.published.map((one) => [one.stream, one]));
  // A stream of which nothing has come yet has no epoch, unless it is published here.
  const known = carried
    .map((stats) => (stats.epoch < 0 ? { ...stats, epoch: published.get(stats.stream)?.epoch ?? stats.epoch } : stats))
    .filter(({ epoch }) => epoch >= 0);
  return known.map(({ stream, epoch, role, nodes, rttMs, lossPercent }) => {
    const silence = role === 'origin' ? silenceOf(stream) : undefined;
    const publisher = role === 'origin' ? summaryOf(published.get(stream)?.status) : undefined;
    return {
      stream,
      epoch,
      role,
      viewers: viewers.get(stream) ?? 0,
      path: nodes.slice(0, 16),
      rttMs: round(rttMs),
      lossPercent: Math.min(100, round(lossPercent)),
      ...(silence ? { silence } : {}),
      ...(publisher ? { publisher } : {}),
    };
  });
}

function summaryOf(status: PublisherStatus | undefined): StreamReport['publisher'] {
  if (!status) return undefined;
  const { state, since, detail, throttled } = status;
  return { state, since, ...(detail === undefined ? {} : { detail }), ...(throttled ? { throttled } : {}) };
}

function round(value: number): number {
  return Number.isFinite(value) ? Math.max(0, Math.round(value * 100) / 100) : 0;
}
