import { PublisherState } from '@millrace/api';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { MediaCores, StreamHub } from './media/index.ts';
import type { LoadMeter } from './load.ts';
import type { PublisherWatch } from './publisher/index.ts';
import type { SessionRegistry } from './sessions/index.ts';

/** Registers this node's metrics; gauges are read when scraped. */
export function registerMetrics(
  registry: Registry,
  parts: {
    sessions: SessionRegistry;
    hub: StreamHub;
    cores: MediaCores;
    load: LoadMeter;
    publishers: PublisherWatch;
  },
): void {
  const { sessions, hub, cores, load, publishers } = parts;
  const registers = [registry];

  new Gauge({
    name: 'millrace_node_sessions',
    help: 'Sessions of this node, by kind (push, pull), protocol and state; a count',
    labelNames: ['kind', 'protocol', 'state'],
    registers,
    collect() {
      this.reset();
      for (const { kind, protocol, state } of sessions.all()) this.inc({ kind, protocol, state });
    },
  });
  const opened = new Counter({
    name: 'millrace_node_sessions_opened_total',
    help: 'Sessions opened; a count',
    labelNames: ['kind', 'protocol'],
    registers,
  });
  const closed = new Counter({
    name: 'millrace_node_sessions_closed_total',
    help: 'Sessions closed, by reason; a count',
    labelNames: ['kind', 'reason'],
    registers,
  });
  sessions.on('added', ({ kind, protocol }) => opened.inc({ kind, protocol }));
  sessions.on('removed', ({ kind, endLabel }, reason) => closed.inc({ kind, reason: endLabel ?? reason }));

  new Gauge({
    name: 'millrace_node_publishers',
    help: 'Publishers of this node, by the state of what they send (Receiving, WaitingForKeyframe, NoKnownSsrc, ...); a count',
    labelNames: ['state'],
    registers,
    collect() {
      this.reset();
      for (const state of PublisherState.options) this.set({ state }, 0);
      for (const { status } of hub.published) this.inc({ state: status?.state ?? 'Connecting' });
    },
  });
  const transitions = new Counter({
    name: 'millrace_node_publisher_transitions_total',
    help: 'Changes of what publishers send, by the new state; a count',
    labelNames: ['state'],
    registers,
  });
  publishers.on('transition', (_session, _from, state) => transitions.inc({ state }));

  gauge(
    'millrace_node_throttled_publishers',
    'Publishers that send more than maxPublishKbps, so that layers or frames are withheld; a count',
    () => hub.published.filter(({ status }) => status?.throttled !== undefined).length,
  );
  gauge('millrace_node_published_streams', 'Streams whose publisher is on this node; a count', () => hub.published.length);
  gauge('millrace_node_served_streams', 'Streams with viewers on this node; a count', () => hub.served.length);
  gauge('millrace_node_media_workers', 'Living media workers; a count', () => cores.alive);
  gauge(
    'millrace_node_cpu_ratio',
    'CPU used by the node and its media workers, as part of its cores; 0 to 1',
    () => load.cpuPercent / 100,
  );
  gauge('millrace_node_egress_bits_per_second', 'Sent to clients; bits per second', () =>
    sessions.all().reduce((sum, { rates }) => sum + rates.sendBps, 0),
  );
  gauge('millrace_node_ingress_bits_per_second', 'Received from clients; bits per second', () =>
    sessions.all().reduce((sum, { rates }) => sum + rates.receiveBps, 0),
  );

  const lost = new Counter({
    name: 'millrace_node_media_workers_lost_total',
    help: 'Media workers that died and were replaced; a count',
    registers,
  });
  cores.on('lost', () => lost.inc());

  function gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  }
}
