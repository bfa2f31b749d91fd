import type { LinkReport, NodeLoad, Report, StreamReport } from '@millrace/api';
import type { StreamHub } from './media/index.ts';
import type { SessionRegistry } from './sessions/index.ts';

const MAX_STREAMS = 5000;
const MAX_LINKS = 500;

/** A stream that this node only forwards, as the relay thread tells it. */
export interface ForwardedStream {
  stream: string;
  epoch: number;
  path: string[];
  rttMs: number;
  lossPercent: number;
}

/** What this node tells control each second. */
export async function buildReport(parts: {
  at: number;
  cpuPercent: number;
  sessions: SessionRegistry;
  hub: StreamHub;
  links: readonly LinkReport[];
  forwarded: readonly ForwardedStream[];
}): Promise<Report> {
  const streams = await streamReports(parts.hub, parts.forwarded);
  return {
    at: parts.at,
    load: loadOf(parts.sessions, parts.cpuPercent, streams.length),
    links: parts.links.slice(0, MAX_LINKS),
    streams: streams.slice(0, MAX_STREAMS),
  };
}

function loadOf(sessions: SessionRegistry, cpuPercent: number, streams: number): NodeLoad {
  const all = sessions.all();
  const publishers = all.filter(({ kind }) => kind === 'push').length;
  const mbps = (rate: 'sendBps' | 'receiveBps'): number => round(all.reduce((sum, { rates }) => sum + rates[rate], 0) / 1e6);
  return {
    cpuPercent: round(cpuPercent),
    egressMbps: mbps('sendBps'),
    ingressMbps: mbps('receiveBps'),
    sessions: sessions.size,
    publishers,
    viewers: all.length - publishers,
    streams,
  };
}

async function streamReports(hub: StreamHub, forwarded: readonly ForwardedStream[]): Promise<StreamReport[]> {
  const reports = new Map<string, StreamReport>();
  for (const { stream, epoch, path, rttMs, lossPercent } of forwarded) {
    reports.set(stream, { stream, epoch, role: 'relay', viewers: 0, path: path.slice(0, 16), rttMs, lossPercent });
  }
  for (const { stream, epoch } of hub.published)
    reports.set(stream, { stream, epoch, role: 'origin', viewers: 0, path: [], rttMs: 0, lossPercent: 0 });
  for (const { state, viewers, egress } of hub.served) {
    if (!egress) continue;
    const origin = reports.get(state.stream);
    if (origin?.role === 'origin') {
      origin.viewers = viewers;
      continue;
    }
    const { path, rttMs, lossPercent } = await egress.stats();
    reports.set(state.stream, {
      stream: state.stream,
      epoch: state.epoch,
      role: 'edge',
      viewers,
      path: path.slice(0, 16),
      rttMs: round(rttMs),
      lossPercent: round(lossPercent),
    });
  }
  return [...reports.values()];
}

function round(value: number): number {
  return Number.isFinite(value) ? Math.max(0, Math.round(value * 100) / 100) : 0;
}
