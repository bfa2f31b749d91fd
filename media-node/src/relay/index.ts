/** The relay: receives a publisher's RTP, forwards streams between nodes over trunks, and feeds them to mediasoup. */
export { Relay, type RelayConfiguration, type RelayOptions } from './relay.ts';
export { EgressHandle, IngestHandle, type EgressEvents } from './handles.ts';
export type { CarriedStats, EgressRequest, EgressStats, IngestRequest, RelayStats } from './commands.ts';
export type { Attachment } from './egress/index.ts';
export type { IngestCounters } from './ingest-counters.ts';
export type { PublisherPortAddresses, PublisherPortRequest } from './publisher-port.ts';
export type { SocketAddress } from './rtp-sockets.ts';
export type { MeasuredPath } from './subscription/index.ts';
