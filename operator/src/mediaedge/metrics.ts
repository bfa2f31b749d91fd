import type { Registry } from '@millrace/service';
import { Gauge } from 'prom-client';
import type { MediaEdge } from '@millrace/api';

const STATES = ['desired', 'ready', 'updated', 'draining'] as const;

/** The desired and actual node counts of each edge, as in its status, for alerts. */
export class EdgeMetrics {
  readonly #nodes: Gauge<'namespace' | 'edge' | 'state'>;

  constructor(registry: Registry) {
    this.#nodes = new Gauge({
      name: 'millrace_operator_edge_nodes',
      help: 'Nodes of a MediaEdge, by state (desired, ready, updated: of the current template, draining); a count',
      labelNames: ['namespace', 'edge', 'state'],
      registers: [registry],
    });
  }

  set({ metadata: { namespace = '', name } }: MediaEdge, status: NonNullable<MediaEdge['status']>): void {
    for (const state of STATES) this.#nodes.set({ namespace, edge: name, state }, status[state] ?? 0);
  }

  /** Removes the series of an edge that is gone. */
  remove(namespace: string, edge: string): void {
    for (const state of STATES) this.#nodes.remove({ namespace, edge, state });
  }
}
