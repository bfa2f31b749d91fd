/** What control writes to Kubernetes, at a bounded rate: MediaNode.status, the runtime fields of StreamRoute.status, and its own Lease. */
export { ReplicaLease } from './replica-lease.ts';
export { StatusWriters } from './status-writers.ts';
