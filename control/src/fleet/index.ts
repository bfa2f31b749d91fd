/** What control knows of the media nodes: what the operator wants of each, what each last said, who carries which stream. */
export { Fleet } from './fleet.ts';
export type { NodeSpec, NodeAddress } from './node-spec.ts';
