// Networks for tests: control on an embedded API with scripted or real media nodes (control-network), all that `make up` starts (network),
// and the browsers that look at it.
export * from './control-network.ts';
export * from './real-node.ts';
export { startPublicNode, type PublicNode } from './public-node.ts';
