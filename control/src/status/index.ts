/** What control writes to Kubernetes: MediaNode.status, the runtime fields of StreamRoute.status, and its own Lease. Seldom, and bounded. */
export { BandedWriter, type Difference, type WriteIntervals } from './banded-writer.ts';
export { mediaNodeDifference, streamRouteDifference } from './bands.ts';
export { mediaNodeStatus, type MediaNodeFacts } from './media-node-status.ts';
export { streamRouteStatus, type StreamRouteRuntime } from './stream-route-status.ts';
export { ReplicaLease } from './replica-lease.ts';
export { StatusWriters } from './status-writers.ts';
