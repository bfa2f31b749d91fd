/** Trunk: the authenticated, encrypted UDP link between two media nodes. Layers: link, FEC, ARQ, scheduling, liveness; the endpoint joins them. */
export { TrunkEndpoint } from './endpoint.ts';
export type { DatagramIo, OutgoingDatagram, PeerAddress, ReceivedDatagram } from './io/datagram.ts';
export { DgramIo } from './io/dgram.ts';
export { DEFAULT_TRUNK_SETTINGS, type TrunkSettings } from './settings.ts';
export { Identity, SEED_BYTES } from './link/identity.ts';
export { TRUNK_VERSION } from './link/wire.ts';
export type { MeshKey } from './link/keys.ts';
export type { Priority } from './scheduling/queues.ts';
export type { TrunkStats } from './stats.ts';
export { Trunk } from './trunk.ts';
