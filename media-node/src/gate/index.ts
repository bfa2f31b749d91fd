/** The forwarding-control gate: in order, or from a keyframe, and numbered without a hole from here on. */
export { ForwardingGate, type DropReason, type GateActions } from './forwarding-gate.ts';
