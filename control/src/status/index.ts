/** What control writes to Kubernetes: MediaNode.status, the runtime fields of StreamRoute.status, and its own Lease. Seldom, and bounded. */
export { ReplicaLease } from './replica-lease.ts';
export { StatusWriters } from './status-writers.ts';
