import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from '@millrace/service';

/** The metrics of the Kubernetes client, caches, queues and controllers. */
export interface KubeMetrics {
  requestSeconds: Histogram<'verb' | 'resource' | 'code'>;
  watchRestarts: Counter<'resource' | 'cause'>;
  relists: Counter<'resource' | 'cause'>;
  handlerErrors: Counter<'resource'>;
  cachedObjects: Gauge<'resource'>;
  queueDepth: Gauge<'queue'>;
  queueWaitSeconds: Histogram<'queue'>;
  queueRetries: Counter<'queue'>;
  reconcileSeconds: Histogram<'controller' | 'result'>;
  pendingWritesExpired: Counter<'resource'>;
  eventsDropped: Counter<'cause'>;
  leading: Gauge<'lease'>;
}

const LATENCY_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Registers the metrics. May be called once per registry. */
export function createKubeMetrics(registry: Registry): KubeMetrics {
  const registers = [registry];
  return {
    requestSeconds: new Histogram({
      name: 'millrace_kube_request_duration_seconds',
      help: 'Time until the headers of a Kubernetes API answer, by verb, resource and code (HTTP status or error); seconds',
      labelNames: ['verb', 'resource', 'code'],
      buckets: LATENCY_SECONDS,
      registers,
    }),
    watchRestarts: new Counter({
      name: 'millrace_kube_watch_restarts_total',
      help: 'Watches reopened, by resource and by how the previous one ended; a count',
      labelNames: ['resource', 'cause'],
      registers,
    }),
    relists: new Counter({
      name: 'millrace_kube_relists_total',
      help: 'Full lists, by resource and cause; a count',
      labelNames: ['resource', 'cause'],
      registers,
    }),
    handlerErrors: new Counter({
      name: 'millrace_kube_handler_errors_total',
      help: 'Exceptions thrown by handlers of cache changes; a count',
      labelNames: ['resource'],
      registers,
    }),
    cachedObjects: new Gauge({
      name: 'millrace_kube_cached_objects',
      help: 'Objects in a cache; a count',
      labelNames: ['resource'],
      registers,
    }),
    queueDepth: new Gauge({
      name: 'millrace_kube_queue_depth_items',
      help: 'Items that wait in a work queue and are ready; a count',
      labelNames: ['queue'],
      registers,
    }),
    queueWaitSeconds: new Histogram({
      name: 'millrace_kube_queue_wait_seconds',
      help: 'Time that a ready item waits in a work queue; seconds',
      labelNames: ['queue'],
      buckets: LATENCY_SECONDS,
      registers,
    }),
    queueRetries: new Counter({
      name: 'millrace_kube_queue_retries_total',
      help: 'Items requeued after a failure; a count',
      labelNames: ['queue'],
      registers,
    }),
    reconcileSeconds: new Histogram({
      name: 'millrace_kube_reconcile_duration_seconds',
      help: 'Time of one reconciliation, by result (done, requeued, failed, fenced); seconds',
      labelNames: ['controller', 'result'],
      buckets: LATENCY_SECONDS,
      registers,
    }),
    pendingWritesExpired: new Counter({
      name: 'millrace_kube_pending_writes_expired_total',
      help: 'Own writes that did not appear in the cache in time; a count',
      labelNames: ['resource'],
      registers,
    }),
    eventsDropped: new Counter({
      name: 'millrace_kube_events_dropped_total',
      help: 'Events not written, by cause (rate limit, full queue, error); a count',
      labelNames: ['cause'],
      registers,
    }),
    leading: new Gauge({
      name: 'millrace_kube_leading_status',
      help: 'Whether this process holds the lease and its fence is open; 1 or 0',
      labelNames: ['lease'],
      registers,
    }),
  };
}
