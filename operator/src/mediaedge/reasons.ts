/** Condition types and reasons of MediaEdge, and reasons of its Events. */
export const CONDITION = {
  accepted: 'Accepted',
  resolvedRefs: 'ResolvedRefs',
  progressing: 'Progressing',
  draining: 'Draining',
  ready: 'Ready',
} as const;

export const REASON = {
  accepted: 'Accepted',
  imageMissing: 'ImageMissing',
  resolvedRefs: 'ResolvedRefs',
  meshNotFound: 'MeshNotFound',
  tlsSecretNotFound: 'TlsSecretNotFound',
  tlsSecretOfOtherType: 'TlsSecretOfOtherType',
  tlsSecretUnreadable: 'TlsSecretUnreadable',
  paused: 'Paused',
  rollingOut: 'RollingOut',
  scalingUp: 'ScalingUp',
  scalingDown: 'ScalingDown',
  waitingForNodes: 'WaitingForNodes',
  deleting: 'Deleting',
  complete: 'Complete',
  createRefused: 'NodeCreationRefused',
  writeRefused: 'WriteRefused',
  deadlineExceeded: 'ProgressDeadlineExceeded',
  nodesDraining: 'NodesDraining',
  noneDraining: 'NoneDraining',
  observing: 'Observing',
  noReplicas: 'NoReplicas',
  nodesReady: 'NodesReady',
  nodesNotReady: 'NodesNotReady',
} as const;

export const EVENT = {
  created: 'NodeCreated',
  draining: 'NodeDraining',
  resumed: 'NodeResumed',
  deleted: 'NodeDeleted',
  drainTimedOut: 'DrainTimedOut',
  failed: 'NodeFailed',
  createRefused: 'NodeCreationRefused',
  writeRefused: 'WriteRefused',
  deadlineExceeded: 'ProgressDeadlineExceeded',
  becameReady: 'Ready',
  becameNotReady: 'NotReady',
} as const;
