/** Condition types and reasons of StreamRoute, and reasons of its Events. */
export const CONDITION = {
  accepted: 'Accepted',
  resolvedRefs: 'ResolvedRefs',
  programmed: 'Programmed',
  ready: 'Ready',
} as const;

export const REASON = {
  accepted: 'Accepted',
  conflicted: 'Conflicted',
  partlyConflicted: 'PartlyConflicted',
  resolvedRefs: 'ResolvedRefs',
  regionNotFound: 'RegionNotFound',
  meshNotFound: 'MeshNotFound',
  programmed: 'Programmed',
  noActiveStreams: 'NoActiveStreams',
  noRoute: 'NoRoute',
  pending: 'Pending',
  observing: 'Observing',
  ready: 'Ready',
  notReady: 'NotReady',
} as const;

export const EVENT = { becameReady: 'Ready', becameNotReady: 'NotReady' } as const;
