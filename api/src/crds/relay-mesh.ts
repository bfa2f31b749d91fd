// Generated from crds/*.yaml by `npm run generate`. Change it there.
import type { Condition } from './condition.ts';
import type { CustomResource, ResourceMeta } from './resource.ts';

export const RELAY_MESH_KIND = 'RelayMesh';

/** Where the API serves it. */
export const relayMeshes: CustomResource<RelayMesh> = {
  group: 'millrace.dev',
  version: 'v1alpha1',
  plural: 'relaymeshes',
  kind: RELAY_MESH_KIND,
  namespaced: true,
};

/** How media nodes reach each other - the trunks between them, how they are measured, and how routes are chosen. */
export interface RelayMesh {
  apiVersion?: 'millrace.dev/v1alpha1';
  kind?: 'RelayMesh';
  metadata: ResourceMeta;
  spec: RelayMeshSpec;
  status?: RelayMeshStatus;
}

/** Desired state of the mesh. Every field has a default, so {} is a working mesh. */
export interface RelayMeshSpec {
  /** Which MediaEdges belong to the mesh, among those whose meshRef names it. */
  members: RelayMeshMembers;
  /** How packets travel on a trunk. */
  transport: RelayMeshTransport;
  /** How trunks between relays are measured. */
  probe: RelayMeshProbe;
  /** How routes are chosen. The cost of a trunk is RTT/2 and the weighted penalties, ms. */
  routing: RelayMeshRouting;
  /** Preconfigured routes, used as long as they work, regardless of their cost. */
  routes?: RelayMeshRoute[];
}

/** Which MediaEdges belong to the mesh, among those whose meshRef names it. */
export interface RelayMeshMembers {
  /** Label selector over MediaEdges. Absent or empty selects all. */
  selector?: RelayMeshMembersSelector;
}

/** Label selector over MediaEdges. Absent or empty selects all. */
export interface RelayMeshMembersSelector {
  /** Labels that must be present with these values. */
  matchLabels?: Record<string, string>;
  /** Further requirements; all must hold. */
  matchExpressions?: RelayMeshMembersSelectorMatchExpression[];
}

/** One requirement. */
export interface RelayMeshMembersSelectorMatchExpression {
  /** Key of the label. */
  key: string;
  /** In and NotIn compare with values, Exists and DoesNotExist look at the key alone. */
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  /** Values to compare with. */
  values?: string[];
}

/** How packets travel on a trunk. */
export interface RelayMeshTransport {
  /** Retransmission (KCP). */
  kcp: RelayMeshTransportKcp;
  /** Forward error correction. */
  fec: RelayMeshTransportFec;
  /** Maximum rate of one trunk, Mbit/s. Packets above it wait; audio and lower simulcast layers are sent first. Default: 1000. */
  rateCapMbps: number;
  /** Key of the trunks. They are always encrypted and authenticated. */
  encryption: RelayMeshTransportEncryption;
}

/** Retransmission (KCP). */
export interface RelayMeshTransportKcp {
  /** Time between flushes, ms. Default: 10. */
  intervalMs: number;
  /** Number of later segments acknowledged after which a segment is sent again at once. 0 waits for the timeout. Default: 2. */
  fastResend: number;
  /** Segments in flight of one conversation. Default: 1024. */
  sendWindow: number;
  /** Segments kept by the receiver of one conversation. Default: 1024. */
  receiveWindow: number;
  /** Time after which a missing packet is given up, ms. Default: 600. */
  deadlineMs: number;
}

/** Forward error correction. */
export interface RelayMeshTransportFec {
  /** Off sends no parity, Fixed sends parityShards after every dataShards packets. Default: "Off". */
  mode: 'Off' | 'Fixed';
  /** Packets of a group; only with mode Fixed. Default: 10. */
  dataShards: number;
  /** Parity packets of a group - so many losses of a group are repaired without retransmission; only with mode Fixed. Default: 2. */
  parityShards: number;
}

/** Key of the trunks. They are always encrypted and authenticated. */
export interface RelayMeshTransportEncryption {
  /** Secret with the pre-shared key under "psk" (32 bytes). Absent means that the operator makes Secret <mesh>-trunk-key with a random one. */
  secretRef?: RelayMeshTransportEncryptionSecretRef;
}

/** Secret with the pre-shared key under "psk" (32 bytes). Absent means that the operator makes Secret <mesh>-trunk-key with a random one. */
export interface RelayMeshTransportEncryptionSecretRef {
  /** Name of the Secret, in the same namespace. */
  name: string;
}

/** How trunks between relays are measured. */
export interface RelayMeshProbe {
  /** Time between probes of one trunk, ms. Default: 1000. */
  intervalMs: number;
  /** Time over which RTT, jitter and loss of a trunk are averaged, s. Routes follow these averages; a dead trunk is noticed at once. Default: 30. */
  windowSeconds: number;
}

/** How routes are chosen. The cost of a trunk is RTT/2 and the weighted penalties, ms. */
export interface RelayMeshRouting {
  /** Maximum number of trunks on a route between relays. Default: 4. */
  maxHops: number;
  /** Paths held for each pair of regions, the first in use and the rest as backups. Default: 2. */
  paths: number;
  /** Weights of the penalties that are added to the cost of a trunk. */
  weights: RelayMeshRoutingWeights;
  /** When a route that works is left for a better one. */
  hysteresis: RelayMeshRoutingHysteresis;
  /** How a node detects by itself that a trunk in use is dead. */
  fastReroute: RelayMeshRoutingFastReroute;
}

/** Weights of the penalties that are added to the cost of a trunk. */
export interface RelayMeshRoutingWeights {
  /** ms of cost for each ms of jitter. Default: 2. */
  jitter: number;
  /** ms of cost for each percent of loss. Default: 20. */
  lossMsPerPercent: number;
  /** ms of cost for each percent above 80 of the egress capacity of the sending node. A node that reports no load counts as 90 percent. Default: 1. */
  utilizationMsPerPercent: number;
  /** ms of cost for each hundredth of a currency unit that a gigabyte costs to send (capacity.egressCostPerGb of the sending edge). Default: 0. */
  priceMsPerCent: number;
}

/** When a route that works is left for a better one. */
export interface RelayMeshRoutingHysteresis {
  /** How much lower the other's cost must be, percent. Default: 15. */
  improvementPercent: number;
  /** Evaluations in a row, 5 s apart, in which the other must be better. Default: 3. */
  windows: number;
  /** Minimum time on a route before another one is chosen, s, unless it fails. Default: 10. */
  dwellSeconds: number;
}

/** How a node detects by itself that a trunk in use is dead. */
export interface RelayMeshRoutingFastReroute {
  /** Longest silence on a trunk in use, ms; any packet counts. Default: 40. */
  heartbeatMs: number;
  /** High switches to the backup after less evidence, Low after more. Default: "Medium". */
  sensitivity: 'Low' | 'Medium' | 'High';
}

/** One route between two regions. */
export interface RelayMeshRoute {
  /** Region of the publisher. */
  from: string;
  /** Region of the viewers. */
  to: string;
  /** Regions in between, in order from the publisher; empty forces the direct trunk. */
  via: string[];
}

/** Observed state of the mesh. Written by the operator. */
export interface RelayMeshStatus {
  /** The metadata.generation from which this status was computed. */
  observedGeneration?: number;
  /** Nodes in the mesh. */
  memberCount?: number;
  /** The nodes, at most 100 of them. */
  members?: RelayMeshStatusMember[];
  /** Trunks between relays. A trunk carries both directions and counts once. */
  links?: RelayMeshStatusLinks;
  /** Number of chosen routes, including those that the list in routes leaves out. */
  routeCount?: number;
  /** Routes and links that are not programmed because they exceed the limits of a MediaNode. Absent while everything fits. */
  leftOut?: RelayMeshStatusLeftOut;
  /** The chosen routes by pair of regions and path policy, those that streams take first, at most 200. */
  routes?: RelayMeshStatusRoute[];
  /** Accepted, ResolvedRefs, ProbesFresh, Programmed and the summary Ready. */
  conditions?: Condition[];
}

/** One node. */
export interface RelayMeshStatusMember {
  /** Name of the MediaNode. */
  node: string;
  /** Its MediaEdge. */
  edge: string;
  /** Its region. */
  region: string;
  /** Roles of the node. */
  roles: ('push' | 'pull' | 'relay')[];
  /** Connected nodes report, Disconnected nodes reported earlier, Pending nodes have never reported, Draining nodes take no new sessions. */
  state: 'Connected' | 'Disconnected' | 'Pending' | 'Draining';
}

/** Trunks between relays. A trunk carries both directions and counts once. */
export interface RelayMeshStatusLinks {
  /** Desired number of trunks between relays. */
  total?: number;
  /** Trunks in good state. */
  up?: number;
  /** Trunks with high loss or delay. */
  degraded?: number;
  /** Trunks that carry no packets. */
  down?: number;
  /** The worst directions of trunks, worst first, at most 50. */
  worst?: RelayMeshStatusLinksWorst[];
}

/** One direction of a trunk. */
export interface RelayMeshStatusLinksWorst {
  /** The node that sends. */
  from: string;
  /** The node that receives. */
  to: string;
  /** State of the trunk. Unknown means that neither end is connected to control now; the values are then the last known. */
  state: 'Up' | 'Degraded' | 'Down' | 'Unknown';
  /** Round trip time, ms. */
  rttMs?: number;
  /** Jitter in this direction, as the receiver sees it, ms. */
  jitterMs?: number;
  /** Loss in this direction before repair, as the sender counts it, percent. */
  lossPercent?: number;
}

/** Routes and links that are not programmed because they exceed the limits of a MediaNode. Absent while everything fits. */
export interface RelayMeshStatusLeftOut {
  /** Routes, by pair of regions and path policy. */
  routes?: number;
  /** Pairs of relays that do not probe each other. */
  links?: number;
}

/** Routes from one region to another. */
export interface RelayMeshStatusRoute {
  /** Region of the publisher. */
  from: string;
  /** Region of the viewers. */
  to: string;
  /** Key of the path policy, "default" or as in policyKey of StreamRoute status. */
  policy: string;
  /** The path that new streams take. */
  primary?: RelayMeshStatusRoutePrimary;
  /** The path that a node switches to by itself when the primary fails. It shares as few relays and trunks with the primary as possible. */
  backup?: RelayMeshStatusRouteBackup;
  /** Whether every node that needs the route has acknowledged it. */
  programmed: boolean;
  /** When the primary was chosen. */
  since?: string;
}

/** The path that new streams take. */
export interface RelayMeshStatusRoutePrimary {
  /** Relays, from the one in the publisher's region to the one in the viewers'. */
  hops: string[];
  /** Cost, ms. */
  costMs: number;
  /** Round trip over all its trunks, ms. */
  rttMs?: number;
  /** Loss over all its trunks, percent. */
  lossPercent?: number;
}

/** The path that a node switches to by itself when the primary fails. It shares as few relays and trunks with the primary as possible. */
export interface RelayMeshStatusRouteBackup {
  /** Relays, from the one in the publisher's region to the one in the viewers'. */
  hops: string[];
  /** Cost, ms. */
  costMs: number;
  /** Round trip over all its trunks, ms. */
  rttMs?: number;
  /** Loss over all its trunks, percent. */
  lossPercent?: number;
}
