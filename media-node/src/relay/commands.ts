import type { LinkReport, MeshSettings, PublicJwk } from '@millrace/api';
import type { Hop, StreamDescription, TrackDescription } from '@millrace/api/trunk';
import type { Attachment, EgressCounters } from './egress/index.ts';
import type { LayerSource } from './ingest.ts';
import type { IngestCounters, TrackCounters } from './ingest-counters.ts';
import type { PublisherPortAddresses, PublisherPortRequest } from './publisher-port.ts';
import type { SocketAddress } from './rtp-sockets.ts';
import type { MeasuredPath } from './subscription/index.ts';

/** Settings of the node and its mesh, sent from the main thread to the relay thread. */
export interface RelaySettings {
  /** The node has the relay role: it forwards what others publish. */
  relays: boolean;
  mesh?: MeshSettings;
  /** The nodes that this one may dial by name. An origin's address comes with its grant. */
  peers: Hop[];
  /** Those of them to which a trunk is kept up permanently, so that links are measured. */
  probe: string[];
  /** Control's keys, which sign grants of epochs and nodes' certificates. Absent without control: nothing is checked then. */
  authorities?: readonly PublicJwk[] | undefined;
  /** Control's certificate of this node's key, base64. */
  certificate?: string | undefined;
}

export interface IngestRequest {
  /** Chosen by the caller, since events may arrive before the answer. */
  id: string;
  stream: string;
  epoch: number;
  grant?: string | undefined;
  tracks: TrackDescription[];
  /** `sprop-parameter-sets` of the publisher's SDP, by track: the gate inserts them in band. */
  parameterSets?: Record<number, string>;
  /** The publisher's round-trip time, ms. */
  rttMs?: number;
  /** The highest bit rate of the whole stream, kbps; absent: no limit. */
  maxKbps?: number;
  /** IP address to listen on; loopback by default. */
  localIp?: string;
  /** Source address of the publisher's packets; packets from other addresses are dropped. */
  from?: SocketAddress;
}

export interface EgressRequest {
  /** Chosen by the caller. */
  id: string;
  stream: string;
  /** The oldest acceptable epoch. */
  epoch?: number;
  /** Control's grant of that epoch. */
  grant?: string | undefined;
  /** Names of the nodes upstream, nearest first, the origin last; empty when the stream is published on this node. */
  path: string[];
  backup?: string[];
  /** How long the stream is kept after the last egress closed, ms. */
  lingerMs: number;
}

/** A new route of an egress, with the epoch and the grant of the origin that it leads to. */
export type EgressRoute = Required<Pick<EgressRequest, 'path' | 'backup'>> & Pick<EgressRequest, 'epoch' | 'grant'>;

export interface EgressStats extends MeasuredPath, EgressCounters {
  epoch: number;
  /** Packets of this epoch that never arrived. */
  lost: number;
}

/** A stream that the node carries, as reported to control. */
export interface CarriedStats extends MeasuredPath {
  stream: string;
  epoch: number;
  role: 'origin' | 'edge' | 'relay';
  packets: number;
  bytes: number;
  duplicates: number;
  stale: number;
}

/** A publisher's packets at the gate. */
export interface IngestStats {
  id: string;
  /** Of RTP packets that arrived. */
  bytes: number;
  /** Packets withheld because the publisher sends more than it may. */
  aboveLimit: number;
  tracks: readonly TrackCounters[];
}

export interface RelayStats {
  streams: CarriedStats[];
  /** Subscriptions of other nodes, over all streams. */
  subscribers: number;
  /** Frames of unknown conversations, and malformed frames. */
  strayFrames: number;
  malformedFrames: number;
  /** Media frames dropped on the current trunks, by reason. */
  droppedMedia: Readonly<Record<string, number>>;
  /** Messages that could not be read or sent. */
  controlErrors: number;
  /** Publishers on this node. */
  ingests: IngestStats[];
  /** Keyframe requests to publishers, by outcome. */
  keyframeRequests: Readonly<Record<string, number>>;
  /** Repairs of publishers' streams by the gates, by kind: `parameter-sets` inserted, in packets; `clock-jump`s joined. */
  repairs: Readonly<Record<string, number>>;
  /** Publishers' packets that were not forwarded, by reason. */
  refusedRtp: Readonly<Record<string, number>>;
  /** Datagrams dropped at the trunk port, by reason. */
  refusedDatagrams: Readonly<Record<string, number>>;
}

/** Requests to the relay thread by name: arguments and answer. */
interface RelayCommands {
  configure: [settings: RelaySettings, answer: void];
  ingest: [request: IngestRequest, answer: SocketAddress];
  openPublisherPort: [request: PublisherPortRequest, answer: PublisherPortAddresses];
  closePublisherPort: [request: { id: string }, answer: void];
  setSources: [request: { id: string; sources: LayerSource[] }, answer: void];
  setLimit: [request: { id: string; maxKbps: number | undefined }, answer: void];
  setRtt: [request: { id: string; rttMs: number }, answer: void];
  setGrant: [request: { id: string; grant: string }, answer: void];
  ingestStats: [request: { id: string }, answer: IngestCounters];
  closeIngest: [request: { id: string; reason: string }, answer: void];
  egress: [request: EgressRequest, answer: void];
  attach: [request: { id: string; track: number; attachment: Attachment }, answer: SocketAddress];
  detach: [request: { id: string; track: number; to: SocketAddress; ssrc: number }, answer: void];
  setLayers: [request: { id: string; track: number; mask: number }, answer: void];
  requestKeyframe: [request: { id: string; track: number; layer: number }, answer: void];
  reroute: [request: { id: string } & EgressRoute, answer: void];
  egressStats: [request: { id: string }, answer: EgressStats];
  closeEgress: [request: { id: string }, answer: void];
  links: [request: undefined, answer: LinkReport[]];
  stats: [request: undefined, answer: RelayStats];
  close: [request: undefined, answer: void];
}

export type RelayCommand = keyof RelayCommands;
export type CommandArgument<C extends RelayCommand> = RelayCommands[C][0];
export type CommandAnswer<C extends RelayCommand> = RelayCommands[C][1];

/** Events from the relay thread to the main thread. */
export type RelayEvent =
  | { type: 'keyframe'; ingest: string; track: number; layer: number }
  /** The order of the layers of a publisher's tracks has changed. */
  | { type: 'tracks'; ingest: string; tracks: TrackDescription[] }
  | { type: 'description'; egress: string; description: StreamDescription }
  | { type: 'path'; egress: string; path: MeasuredPath }
  | { type: 'flowing' | 'lost' | 'ended'; egress: string; reason: string }
  | { type: 'warning'; message: string; fields: Record<string, string | number> };
