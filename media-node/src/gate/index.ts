/** The forwarding-control gate: in order, or from a keyframe, and numbered without a hole from here on. */
export { ForwardingGate, OPENS_WITH_KNOWN_SETS, TIME_JUMPED, type DropReason, type GateActions } from './forwarding-gate.ts';
export { MAX_RATE_RATIO, PublishLimit } from './publish-limit.ts';
export { SvcParts } from './svc-parts.ts';
