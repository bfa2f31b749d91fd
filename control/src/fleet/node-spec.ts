import type { Role, TrunkAddress } from '@millrace/api';

/** A MediaNode's spec, and the address that its status reported last. */
export interface NodeSpec {
  name: string;
  generation: number;
  edge: string;
  mesh?: string | undefined;
  region: string;
  provider: string;
  isp?: string | undefined;
  roles: readonly Role[];
  podUid: string;
  /** Under which the node may announce itself, each written in one way; undefined until its pod has some. */
  addresses?: readonly string[] | undefined;
  cordoned: boolean;
  /** deadlineAt: ms since the Unix epoch. */
  drain?: { policy: 'Move' | 'Wait'; deadlineAt: number } | undefined;
  capacity: { sessions: number; egressMbps: number };
  relays: readonly string[];
  peers: readonly { node: string; region: string }[];
  routes: readonly { originRegion: string; policy: string; paths: readonly { hops: readonly string[] }[] }[];
  /** Trunk endpoint in MediaNode.status: used for a node from which no replica has heard yet. */
  lastAddress?: TrunkAddress | undefined;
  /** Whether MediaNode.status says that the node was connected to a replica. */
  wasConnected?: boolean | undefined;
}

/** Where a node's trunk endpoint listens. */
export interface NodeAddress extends TrunkAddress {
  region: string;
}
