/** Emulated network links for tests: a model of one direction in virtual time, and real UDP traffic over it. */
export { LinkModel, type Delivery, type LinkCounters } from './link-model.ts';
export { PERFECT_LINK, profileError, type LinkProfile } from './profile.ts';
export { UdpNetwork, type EmulatedLink, type EmulatedNode, type UdpAddress, type UdpNetworkOptions } from './udp-network.ts';
export type { LatenessSummary } from './lateness.ts';
