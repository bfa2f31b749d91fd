/** What control knows of the media nodes: their specs, their last reports, and which of them carry each stream. */
export { Fleet } from './fleet.ts';
export type { NodeSpec, NodeAddress } from './node-spec.ts';
