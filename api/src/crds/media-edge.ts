// Generated from crds/*.yaml by `npm run generate`. Change it there.
import type { Condition } from './condition.ts';
import type { CustomResource, ResourceMeta } from './resource.ts';

export const MEDIA_EDGE_KIND = 'MediaEdge';

/** Where the API serves it. */
export const mediaEdges: CustomResource<MediaEdge> = {
  group: 'millrace.dev',
  version: 'v1alpha1',
  plural: 'mediaedges',
  kind: MEDIA_EDGE_KIND,
  namespaced: true,
};

/** A pool of media nodes of one region, provider and role set. The operator runs one pod for each node. */
export interface MediaEdge {
  apiVersion?: 'millrace.dev/v1alpha1';
  kind?: 'MediaEdge';
  metadata: ResourceMeta;
  spec: MediaEdgeSpec;
  status?: MediaEdgeStatus;
}

/** Desired state of the edge. */
export interface MediaEdgeSpec {
  /** Routing domain of the nodes, such as a data centre or a cloud region. Cannot be changed. */
  region: string;
  /** Fault and cost domain of the nodes, such as a cloud. Routes can avoid it. Cannot be changed. Default: "default". */
  provider: string;
  /** Last-mile network of the nodes. Of the nodes of a region, those of the viewer's own ISP are taken first. */
  isp?: string;
  /** What the nodes do - push takes publishers, pull serves viewers, relay forwards between nodes. A change replaces the pods one by one. */
  roles: ('push' | 'pull' | 'relay')[];
  /** RelayMesh of the same namespace that joins these nodes to others. Without it a stream reaches only viewers on the node it was pushed to. */
  meshRef?: MediaEdgeMeshRef;
  /** Number of nodes. Also written by kubectl scale. Nodes that leave are drained first. Default: 1. */
  replicas: number;
  /** Ports and addresses of each node. A port of 0 lets the node pick a free one and report it, so that several nodes fit on one host. Nodes run without root, so on the host network a port below 1024 needs a host whose sysctl net.ipv4.ip_unprivileged_port_start is not above it. */
  network: MediaEdgeNetwork;
  /** Cores of each node. A change replaces the pods one by one. */
  cpu: MediaEdgeCpu;
  /** Memory that a node may use, MiB; beyond it the kernel ends the node, not its host. With cpu.pinning affinity and static it is reserved too, with none 256 MiB are. Absent means 512 and 512 more for each core. A change replaces the pods one by one. */
  memoryMiB?: number;
  /** Capacity of one node. The scheduler places no more sessions on a node that has reached it. A change of sessions or egressMbps replaces the pods one by one. */
  capacity: MediaEdgeCapacity;
  /** How a node is emptied before its pod is deleted, whether by scaling down, a rolling update, kubectl drain or deletion of the edge. */
  drain: MediaEdgeDrain;
  /** How many nodes change at a time when the pod template changes. */
  update: MediaEdgeUpdate;
  /** Container image of the media node. Absent means the operator's own choice (its flag --media-node-image), so that an upgrade of the operator rolls the nodes. */
  image?: string;
  /** Additions to the pods. A change replaces the pods one by one. */
  template?: MediaEdgeTemplate;
}

/** RelayMesh of the same namespace that joins these nodes to others. Without it a stream reaches only viewers on the node it was pushed to. */
export interface MediaEdgeMeshRef {
  /** Name of the RelayMesh. Pods carry it as a label. */
  name: string;
}

/** Ports and addresses of each node. A port of 0 lets the node pick a free one and report it, so that several nodes fit on one host. Nodes run without root, so on the host network a port below 1024 needs a host whose sysctl net.ipv4.ip_unprivileged_port_start is not above it. */
export interface MediaEdgeNetwork {
  /** Pods use the network of their host; recommended, since it spares a hop in the kernel. Without it the ports are published as host ports. Default: true. */
  hostNetwork: boolean;
  /** First UDP port of WebRTC media. Each media worker takes one, in a row, max(1, cores - 2) ports in all. Default: 40000. */
  mediaPort: number;
  /** UDP port of the trunks to other nodes. Default: 40100. */
  trunkPort: number;
  /** TCP port of WHIP, WHEP and the short signalling. Default: 8080. */
  signalingPort: number;
  /** TCP port of /metrics, /healthz and /readyz. Default: 9090. */
  opsPort: number;
  /** UDP ports for plain RTP of native clients. 0 and 0 let the node pick. */
  rtpPorts: MediaEdgeNetworkRtpPorts;
  /** Addresses announced to clients and other nodes - IPv4, IPv6 or both. WebRTC clients get all of them as candidates; URLs hold the first. */
  announcedAddress: MediaEdgeNetworkAnnouncedAddress;
  /** Secret of type kubernetes.io/tls with the certificate of the signalling port. Without it signalling is plain HTTP. */
  tlsSecretRef?: MediaEdgeNetworkTlsSecretRef;
}

/** UDP ports for plain RTP of native clients. 0 and 0 let the node pick. */
export interface MediaEdgeNetworkRtpPorts {
  /** First port. Default: 41000. */
  min: number;
  /** Last port. Default: 41999. */
  max: number;
}

/** Addresses announced to clients and other nodes - IPv4, IPv6 or both. WebRTC clients get all of them as candidates; URLs hold the first. */
export interface MediaEdgeNetworkAnnouncedAddress {
  /** HostIP stands for the addresses of the pod's host, PodIP for those of the pod, Static for those given in address or addresses (for hosts behind one-to-one NAT). Default: "HostIP". */
  source: 'HostIP' | 'PodIP' | 'Static';
  /** IP address or DNS name; only with source Static. Nodes resolve a name for their candidates once a minute. */
  address?: string;
  /** Several IP addresses or DNS names in place of address, the preferred one first; such as one of each IP family, or a private and a public one. */
  addresses?: string[];
}

/** Secret of type kubernetes.io/tls with the certificate of the signalling port. Without it signalling is plain HTTP. */
export interface MediaEdgeNetworkTlsSecretRef {
  /** Name of the Secret, in the same namespace. */
  name: string;
}

/** Cores of each node. A change replaces the pods one by one. */
export interface MediaEdgeCpu {
  /** Cores, as media workers (max(1, cores - 2); none on relay-only nodes), one relay thread and one for the rest. Default: 2. */
  cores: number;
  /** none leaves threads to the kernel, affinity pins each to a core of the pod's CPU set, static asks Kubernetes for exclusive cores too (Guaranteed pods under the kubelet's static policy). Default: "affinity". */
  pinning: 'none' | 'affinity' | 'static';
}

/** Capacity of one node. The scheduler places no more sessions on a node that has reached it. A change of sessions or egressMbps replaces the pods one by one. */
export interface MediaEdgeCapacity {
  /** Publishers and viewers together. Default: 1000. */
  sessions: number;
  /** Traffic sent, Mbit/s. Default: 1000. */
  egressMbps: number;
  /** Price of a gigabyte sent, in the currency of the bill, as a decimal such as "0.08". Routing weighs it as RelayMesh routing.weights.priceMsPerCent says. Absent means free. */
  egressCostPerGb?: string;
}

/** How a node is emptied before its pod is deleted, whether by scaling down, a rolling update, kubectl drain or deletion of the edge. */
export interface MediaEdgeDrain {
  /** Seconds after which the pod is deleted, even if sessions are left. Default: 1800. */
  timeoutSeconds: number;
  /** Move asks viewers and publishers to go to another node at once, Wait lets sessions end by themselves. Default: "Move". */
  policy: 'Move' | 'Wait';
}

/** How many nodes change at a time when the pod template changes. */
export interface MediaEdgeUpdate {
  /** Nodes that may run above replicas while old ones drain. Default: 1. */
  maxSurge: number;
  /** Nodes that may be missing from replicas while new ones start. Default: 0. */
  maxUnavailable: number;
  /** Seconds that a node may take to get ready before the condition Progressing says ProgressDeadlineExceeded. Nothing is deleted for it. Default: 600. */
  progressDeadlineSeconds: number;
}

/** Additions to the pods. A change replaces the pods one by one. */
export interface MediaEdgeTemplate {
  /** Further labels of the pods. Keys under millrace.dev/ are the operator's. */
  labels?: Record<string, string>;
  /** Further annotations of the pods. Keys under millrace.dev/ are the operator's. */
  annotations?: Record<string, string>;
  /** Further environment variables of the media node, such as MILLRACE_LOG_LEVEL. Those that the operator sets from other fields cannot be given. */
  env?: MediaEdgeTemplateEnv[];
  /** Labels that a host must have. */
  nodeSelector?: Record<string, string>;
  /** Taints of hosts that the pods tolerate. */
  tolerations?: MediaEdgeTemplateToleration[];
  /** PriorityClass of the pods. */
  priorityClassName?: string;
  /** Secrets for pulling the image. */
  imagePullSecrets?: MediaEdgeTemplateImagePullSecret[];
}

/** One variable. */
export interface MediaEdgeTemplateEnv {
  /** Name of the variable. */
  name: string;
  /** Its value. */
  value: string;
}

/** One toleration, as in a pod. */
export interface MediaEdgeTemplateToleration {
  /** Key of the taint; absent with operator Exists matches all. */
  key?: string;
  /** How the value is compared; absent means Equal. */
  operator?: 'Equal' | 'Exists';
  /** Value of the taint. */
  value?: string;
  /** Effect of the taint; absent matches all. */
  effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
  /** Seconds a NoExecute taint is tolerated; absent means for ever. */
  tolerationSeconds?: number;
}

/** One Secret of the same namespace. */
export interface MediaEdgeTemplateImagePullSecret {
  /** Name of the Secret. */
  name: string;
}

/** Observed state of the edge. Written by the operator. */
export interface MediaEdgeStatus {
  /** The metadata.generation from which this status was computed. */
  observedGeneration?: number;
  /** Pods that exist and are not being drained, whether ready or not (read by the scale subresource). */
  replicas?: number;
  /** Desired number of nodes. */
  desired?: number;
  /** Nodes that are ready, connected to control, and not being drained. */
  ready?: number;
  /** Pods made from the current template and not being drained. */
  updated?: number;
  /** Pods that are being emptied before deletion. */
  draining?: number;
  /** Label selector of the pods (read by the scale subresource). */
  selector?: string;
  /** Sum over nodes that report (cpuPercent is their mean). Absent while none does. */
  load?: MediaEdgeStatusLoad;
  /** Signalling URLs (WHIP and WHEP) of the ready nodes; at most 64. */
  endpoints?: MediaEdgeStatusEndpoint[];
  /** Accepted, ResolvedRefs, Progressing, Draining and the summary Ready. */
  conditions?: Condition[];
}

/** Sum over nodes that report (cpuPercent is their mean). Absent while none does. */
export interface MediaEdgeStatusLoad {
  /** Mean CPU use of the nodes, percent of their cores. */
  cpuPercent?: number;
  /** Traffic sent, Mbit/s. */
  egressMbps?: number;
  /** Publishers and viewers connected. */
  sessions?: number;
}

/** One node. */
export interface MediaEdgeStatusEndpoint {
  /** Name of the MediaNode. */
  node: string;
  /** Base URL of its signalling. */
  signalingUrl: string;
}
