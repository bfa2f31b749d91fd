// Generated from crds/*.yaml by `npm run generate`. Change it there.
import type { Condition } from './condition.ts';
import type { CustomResource, ResourceMeta } from './resource.ts';

export const MEDIA_NODE_KIND = 'MediaNode';

/** Where the API serves it. */
export const mediaNodes: CustomResource<MediaNode> = {
  group: 'millrace.dev',
  version: 'v1alpha1',
  plural: 'medianodes',
  kind: MEDIA_NODE_KIND,
  namespaced: true,
};

/** One media node, named as its pod. Internal - the operator writes spec and control writes status; people read it. */
export interface MediaNode {
  apiVersion?: 'millrace.dev/v1alpha1';
  kind?: 'MediaNode';
  metadata: ResourceMeta;
  spec: MediaNodeSpec;
  status?: MediaNodeStatus;
}

/** Identity and desired state of the node. */
export interface MediaNodeSpec {
  /** Name of its MediaEdge. Cannot be changed. */
  edge: string;
  /** Name of the RelayMesh that joins it to others. */
  mesh?: string;
  /** Routing domain. Cannot be changed. */
  region: string;
  /** Fault and cost domain. */
  provider: string;
  /** Last-mile network of the node. */
  isp?: string;
  /** Roles of the node. */
  roles: ('push' | 'pull' | 'relay')[];
  /** The pod it runs in. Its agent must prove this uid. Cannot be changed. */
  pod: MediaNodePod;
  /** IP addresses and DNS names under which the node may announce itself - those of its host or pod, or the static ones of its edge. Control takes no others. Absent until the pod has an address. */
  addresses?: string[];
  /** The node takes no new publishers and viewers. Default: false. */
  cordoned: boolean;
  /** The node is being emptied; present only while that is so. */
  drain?: MediaNodeDrain;
  /** Capacity of the node. The scheduler places no more sessions on it once it has reached this. */
  capacity: MediaNodeCapacity;
  /** Relays of its region that it attaches to, at most 2. Empty for relays. */
  relays?: string[];
  /** Nodes that it keeps a trunk to and probes - for relays the other relays, as many as fit, for others the relays that they attach to. */
  peers?: MediaNodePeer[];
  /** How it reaches streams, by region of their origin and path policy. Where there are more than fit, those that streams take now come first, then those of the default policy; RelayMesh status counts what is left out. */
  routes?: MediaNodeRoute[];
}

/** The pod it runs in. Its agent must prove this uid. Cannot be changed. */
export interface MediaNodePod {
  /** Name of the pod. */
  name: string;
  /** metadata.uid of the pod. */
  uid: string;
}

/** The node is being emptied; present only while that is so. */
export interface MediaNodeDrain {
  /** Move asks sessions to go elsewhere at once, Wait lets them end by themselves. */
  policy: 'Move' | 'Wait';
  /** When it began. */
  since: string;
  /** When the pod is deleted even if sessions are left. */
  deadline: string;
}

/** Capacity of the node. The scheduler places no more sessions on it once it has reached this. */
export interface MediaNodeCapacity {
  /** Publishers and viewers together. */
  sessions: number;
  /** Traffic sent, Mbit/s. */
  egressMbps: number;
}

/** One peer. */
export interface MediaNodePeer {
  /** Name of the MediaNode. */
  node: string;
  /** Its region. */
  region: string;
}

/** The paths to one region. */
export interface MediaNodeRoute {
  /** Region of the publisher. */
  originRegion: string;
  /** Key of the path policy; "default" for the default one. */
  policy: string;
  /** Paths in order of preference, the first in use, the rest as backups. */
  paths: MediaNodeRoutePath[];
}

/** One path. */
export interface MediaNodeRoutePath {
  /** Relays, the one nearest to this node first, the one in the origin's region last. */
  hops: string[];
  /** Cost when the path was chosen, ms. A change of cost alone is not written. */
  costMs: number;
}

/** Report of the node. Written by control when a value changes notably, and at least every 5 minutes. */
export interface MediaNodeStatus {
  /** Its connection to control. */
  agent?: MediaNodeStatusAgent;
  /** Where it is reached. */
  endpoints?: MediaNodeStatusEndpoints;
  /** Load of the node. Absent means unknown, never zero. */
  load?: MediaNodeStatusLoad;
  /** Its trunks, as it measures them. Where there are more than fit, those to its peers come first. */
  links?: MediaNodeStatusLink[];
  /** The metadata.generation that the node acknowledged running. */
  programmedGeneration?: number;
  /** Version of the agent protocol it speaks. */
  protocol?: number;
  /** Version of its software. */
  version?: string;
  /** Kernel settings it found. */
  kernel?: MediaNodeStatusKernel;
  /** CPUs it may run on, as in Cpus_allowed_list. */
  cpus?: string;
  /** AgentConnected, Programmed, Draining, CPUsExclusive, and Healthy, which is False with what the node itself reports as wrong; all by control. Reported is False while the API refuses the rest of this status. */
  conditions?: Condition[];
}

/** Its connection to control. */
export interface MediaNodeStatusAgent {
  /** The replica of control that holds it, which is the name of that replica's Lease. */
  replica?: string;
  /** Identifies the process; chosen at random when it starts. */
  bootId?: string;
  /** When it connected. */
  since?: string;
  /** When the report shown here arrived. */
  lastReportAt?: string;
}

/** Where it is reached. */
export interface MediaNodeStatusEndpoints {
  /** Base URL of its signalling. */
  signalingUrl?: string;
  /** Address of signalling and trunks. */
  host?: string;
  /** Further addresses of trunks, such as the one of the other IP family, in the order in which other nodes try them. */
  otherHosts?: string[];
  /** UDP port of trunks. */
  trunkPort?: number;
  /** UDP ports of WebRTC media, one for each media worker. */
  mediaPorts?: number[];
  /** Base URL of /metrics, /healthz and /readyz. */
  opsUrl?: string;
}

/** Load of the node. Absent means unknown, never zero. */
export interface MediaNodeStatusLoad {
  /** CPU use, percent of its cores. */
  cpuPercent?: number;
  /** Traffic sent, Mbit/s. */
  egressMbps?: number;
  /** Traffic received, Mbit/s. */
  ingressMbps?: number;
  /** Publishers and viewers connected. */
  sessions?: number;
  /** Publishers connected. */
  publishers?: number;
  /** Viewers connected. */
  viewers?: number;
  /** Streams carried, relayed ones too. */
  streams?: number;
}

/** One trunk. */
export interface MediaNodeStatusLink {
  /** The other MediaNode. */
  peer: string;
  /** State of the trunk. */
  state: 'Up' | 'Degraded' | 'Down';
  /** Round trip time, ms. */
  rttMs?: number;
  /** Jitter of what it receives, ms. */
  jitterMs?: number;
  /** Loss of what it sends, before repair, percent. */
  lossPercent?: number;
  /** Largest IP packet known to get through to the peer, bytes. */
  mtuBytes?: number;
}

/** Kernel settings it found. */
export interface MediaNodeStatusKernel {
  /** net.core.rmem_max, bytes. */
  rmemMax?: number;
  /** net.core.wmem_max, bytes. */
  wmemMax?: number;
}
