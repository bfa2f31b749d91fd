// What the operator's pods meet: kubelets.ts lets them run, control.ts says what their nodes do, fleet.ts moves sessions.
export { Fleet } from './fleet.ts';
export type { TrueNode } from './true-node.ts';
