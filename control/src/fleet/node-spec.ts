import type { Role, TrunkAddress } from '@millrace/api';

/** A MediaNode's spec, and what its status said last about where it is. */
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
  cordoned: boolean;
  /** deadlineAt: ms since the Unix epoch. */
  drain?: { policy: 'Move' | 'Wait'; deadlineAt: number } | undefined;
  capacity: { sessions: number; egressMbps: number };
  relays: readonly string[];
  peers: readonly { node: string; region: string }[];
  routes: readonly { originRegion: string; policy: string; paths: readonly { hops: readonly string[] }[] }[];
  /** Trunk endpoint as of MediaNode.status: what is known of a node that no replica has heard of yet. */
  lastAddress?: TrunkAddress | undefined;
  /** Some replica wrote that it held the node's connection. */
  wasConnected?: boolean | undefined;
}

/** Where a node's trunk endpoint listens. */
export interface NodeAddress extends TrunkAddress {
  region: string;
}
