import { Counter, Gauge, type Registry } from 'prom-client';
import type { LinkReport } from '@millrace/api';
import type { RelayStats } from './relay/index.ts';

/** What the relay thread measures, taken over once a second: a scrape never waits for the media path. */
export interface RelayMetrics {
  update(links: readonly LinkReport[], stats: RelayStats): void;
}

export function registerRelayMetrics(registry: Registry): RelayMetrics {
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers: [registry] });
  const links = gauge('millrace_relay_trunks', 'Trunks to other nodes, by state (Up, Degraded, Down); a count', ['state']);
  const rtt = gauge('millrace_relay_trunk_rtt_seconds', 'Round-trip time to a peer, smoothed; seconds', ['peer']);
  const loss = gauge('millrace_relay_trunk_loss_ratio', 'Packets lost on the way to or from a peer; 0 to 1', ['peer']);
  const mtu = gauge('millrace_relay_trunk_mtu_bytes', 'Largest IP packet known to get through to a peer; bytes', ['peer']);
  const sent = gauge('millrace_relay_trunk_send_bits_per_second', 'Sent to a peer; bits per second', ['peer']);
  const received = gauge('millrace_relay_trunk_receive_bits_per_second', 'Received from a peer; bits per second', ['peer']);
  const streams = gauge(
    'millrace_relay_streams',
    'Streams carried, by what this node is for them (origin, relay, edge); a count',
    ['role'],
  );
  const subscribers = gauge('millrace_relay_subscribers', 'Subscriptions of other nodes to streams of this one; a count');
  const duplicates = gauge(
    'millrace_relay_duplicate_packets',
    'Packets of the streams carried now that came more than once; a count',
  );
  const byReason = (name: string, help: string): ((counts: Readonly<Record<string, number>>) => void) => {
    const counter = new Counter({ name, help, labelNames: ['reason'], registers: [registry] });
    const known: Record<string, number> = {};
    return (counts) => {
      for (const [reason, count] of Object.entries(counts)) {
        counter.inc({ reason }, Math.max(0, count - (known[reason] ?? 0)));
        known[reason] = count;
      }
    };
  };
  const faultyFrames = byReason(
    'millrace_relay_faulty_frames_total',
    'Trunk frames that could not be used, by reason (stray, malformed, control); a count',
  );
  const refusedRtp = byReason(
    'millrace_relay_refused_rtp_total',
    "Publishers' RTP packets that were not forwarded, by reason; a count",
  );
  const droppedMedia = byReason(
    'millrace_relay_dropped_media_total',
    'Media frames that did not get over a trunk, by reason (too-large, overdue, crowded-out, broken-chain, window-full, abandoned, incomplete); a count',
  );
  const repairs = byReason(
    'millrace_relay_publisher_repairs_total',
    "What was put right in publishers' streams, by kind (parameter-sets: packets inserted; clock-jump: jumps joined); a count",
  );
  const keyframeRequests = byReason(
    'millrace_relay_keyframe_requests_total',
    'Requests to publishers for a keyframe, by reason: sent, or held back because the publisher was asked just now or does not answer; a count',
  );
  const refusedDatagrams = byReason(
    'millrace_relay_refused_datagrams_total',
    'Datagrams at the trunk port that were not taken, by reason; a count',
  );
  return {
    update(reports, stats) {
      for (const each of [links, rtt, loss, mtu, sent, received, streams]) each.reset();
      for (const report of reports) {
        links.inc({ state: report.state });
        rtt.set({ peer: report.peer }, report.rttMs / 1_000);
        loss.set({ peer: report.peer }, report.lossPercent / 100);
        if (report.mtuBytes !== undefined) mtu.set({ peer: report.peer }, report.mtuBytes);
        sent.set({ peer: report.peer }, report.sendKbps * 1_000);
        received.set({ peer: report.peer }, report.recvKbps * 1_000);
      }
      for (const { role } of stats.streams) streams.inc({ role });
      subscribers.set(stats.subscribers);
      duplicates.set(stats.streams.reduce((sum, stream) => sum + stream.duplicates, 0));
      faultyFrames({ stray: stats.strayFrames, malformed: stats.malformedFrames, control: stats.controlErrors });
      refusedRtp(stats.refusedRtp);
      keyframeRequests(stats.keyframeRequests);
      droppedMedia(stats.droppedMedia);
      repairs(stats.repairs);
      refusedDatagrams(stats.refusedDatagrams);
    },
  };
}
