import { collectDefaultMetrics, Counter, Registry } from 'prom-client';
import type { HttpRefusal } from './http-limits.ts';

export { Registry };

/** A part's own metrics registry, with the process' default metrics; every sample carries the label `service`. */
export function createMetrics(options: { service: string }): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service: options.service });
  // prom-client's default of 10 ms would wake each idle process a hundred times a second.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  return registry;
}

/** Counts what a listener refuses before its app sees it. */
export function countHttpRefusals(registry: Registry, listener: string): (reason: HttpRefusal) => void {
  const name = 'millrace_http_refusals_total';
  const known = registry.getSingleMetric(name) as Counter<'listener' | 'reason'> | undefined;
  const counter =
    known ??
    new Counter({
      name,
      help: 'Connections and requests refused for their size, rate, slowness or form, by listener and reason; a count',
      labelNames: ['listener', 'reason'],
      registers: [registry],
    });
  return (reason) => counter.inc({ listener, reason });
}
