// MediaEdge → pods, one MediaNode each, and a PodDisruptionBudget:
//
//   observe (caches and own pending writes) → plan (pure: changes, media-node, status) → reconcile (carries it out)
//
// A node is drained before its pod is deleted, whatever the reason; see instance.ts for when it counts as empty.
export { createMediaEdgeController, mediaNodeIndexers, podIndexers } from './controller.ts';
export { EdgeMetrics } from './metrics.ts';
export { templateHash, type PodSettings } from './pod.ts';
export { LABEL as NODE_LABEL } from './names.ts';
