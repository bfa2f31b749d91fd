// Networks for tests: control on an embedded API with scripted or real media nodes (control-network), the whole network of `make up` (network),
// and browsers.
export * from './control-network.ts';
export * from './real-node.ts';
export { startPublicNode, type PublicNode } from './public-node.ts';
