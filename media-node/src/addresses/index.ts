// Addresses of this node: what is announced to clients and nodes, and where sockets listen.
export { AnnouncedAddresses } from './announced-addresses.ts';
export { planBinds, serviceHost, trunkHosts, WILDCARD } from './binds.ts';
export { announcedCandidates } from './candidates.ts';
export { availableFamilies } from './families.ts';
export { placeNode, type NodePlace } from './place-node.ts';
