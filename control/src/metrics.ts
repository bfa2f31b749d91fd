import type { Registry } from '@millrace/service';
import { Counter, Gauge, Histogram } from 'prom-client';

export type ControlMetrics = ReturnType<typeof controlMetrics>;

/** Control's own metrics. */
export function controlMetrics(registry: Registry) {
  const registers = [registry];
  return {
    placements: new Counter({
      name: 'millrace_control_placements_total',
      help: 'Requests for a node, by kind (push, pull) and outcome (placed, refused).',
      labelNames: ['kind', 'outcome'],
      registers,
    }),
    agents: new Gauge({
      name: 'millrace_control_agents_connected',
      help: 'Media nodes whose agent is connected to this replica.',
      registers,
    }),
    disconnects: new Counter({
      name: 'millrace_control_agent_disconnects_total',
      help: 'Agent connections that ended.',
      registers,
    }),
    streams: new Gauge({ name: 'millrace_control_streams', help: 'Streams published now, of all replicas.', registers }),
    compiled: new Gauge({
      name: 'millrace_control_snapshots_compiled',
      help: 'Node settings compiled since the start.',
      registers,
    }),
    statusWrites: new Counter({
      name: 'millrace_control_status_writes_total',
      help: 'Status writes, by kind of object and outcome (written, failed).',
      labelNames: ['kind', 'outcome'],
      registers,
    }),
    statusWriteSeconds: new Histogram({
      name: 'millrace_control_status_write_seconds',
      help: 'Duration of a status write, in seconds.',
      buckets: [0.005, 0.02, 0.1, 0.5, 2, 10],
      registers,
    }),
  };
}
