// The environment of the operator's pods: kubelets.ts runs them, control.ts reports on their nodes, fleet.ts moves sessions.
export { Fleet } from './fleet.ts';
export type { SimulatedNode } from './simulated-node.ts';
