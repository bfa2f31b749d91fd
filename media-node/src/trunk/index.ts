/** Trunk: the authenticated, encrypted UDP link between two media nodes. Layers: link, FEC, ARQ, scheduling, liveness; the endpoint joins them. */
export { type EndpointOptions, TrunkEndpoint } from './endpoint.ts';
export type { EndpointDropReason } from './reception.ts';
export type { DatagramIo, OutgoingDatagram, PeerAddress, ReceivedDatagram } from './io/datagram.ts';
export { DgramIo } from './io/dgram.ts';
export { DEFAULT_KNOBS, type TrunkKnobs } from './knobs.ts';
export { TRUNK_VERSION } from './link/wire.ts';
export type { MeshKey } from './link/keys.ts';
export type { Priority } from './scheduling/queues.ts';
export { MAX_MEDIA_PAYLOAD } from './association.ts';
export type { TrunkStats } from './stats.ts';
export { type LostReason, type MediaSend, Trunk, type TrunkState } from './trunk.ts';
