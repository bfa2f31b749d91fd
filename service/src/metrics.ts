import { collectDefaultMetrics, Registry } from 'prom-client';

export { Registry };

/** A part's own metrics registry, with the process' default metrics; every sample carries the label `service`. */
export function createMetrics(options: { service: string }): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service: options.service });
  collectDefaultMetrics({ register: registry });
  return registry;
}
