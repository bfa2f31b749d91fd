import type { Registry } from '@millrace/service';
import { Counter, Gauge, Histogram } from 'prom-client';

export type ControlMetrics = ReturnType<typeof controlMetrics>;

/** Control's own metrics. */
export function controlMetrics(registry: Registry, counted: { compiled: () => number }) {
  const registers = [registry];
  let compiled = 0;
  new Counter({
    name: 'millrace_control_settings_compiled_total',
    help: 'Node settings compiled; a count',
    registers,
    collect() {
      const now = counted.compiled();
      this.inc(now - compiled);
      compiled = now;
    },
  });
  return {
    placements: new Counter({
      name: 'millrace_control_placements_total',
      help: 'Requests for a node, by kind (push, pull) and outcome (placed, refused); a count',
      labelNames: ['kind', 'outcome'],
      registers,
    }),
    agents: new Gauge({
      name: 'millrace_control_connected_agents',
      help: 'Media nodes whose agent is connected to this replica; a count',
      registers,
    }),
    disconnects: new Counter({
      name: 'millrace_control_agent_disconnects_total',
      help: 'Agent connections that ended; a count',
      registers,
    }),
    streams: new Gauge({ name: 'millrace_control_streams', help: 'Streams published now, of all replicas; a count', registers }),
    statusWrites: new Counter({
      name: 'millrace_control_status_writes_total',
      help: 'Status writes, by kind of object and outcome (written, failed); a count',
      labelNames: ['kind', 'outcome'],
      registers,
    }),
    statusWriteSeconds: new Histogram({
      name: 'millrace_control_status_write_seconds',
      help: 'Duration of a status write; seconds',
      buckets: [0.005, 0.02, 0.1, 0.5, 2, 10],
      registers,
    }),
  };
}
