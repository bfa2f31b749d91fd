import type { Hello, Report, TrackDescription, TrunkAddress } from '@millrace/api';

/** A published stream. `since`: ms since the Unix epoch. */
export interface StreamEntry extends TrunkAddress {
  stream: string;
  epoch: number;
  node: string;
  region: string;
  session: string;
  user?: string | undefined;
  since: number;
  tracks: TrackDescription[];
}

export interface Claim extends Omit<StreamEntry, 'epoch' | 'since'> {
  /** Takes the name from a live publisher. */
  takeover: boolean;
}

/** `replaced`: who lost the name to a takeover. A claim repeated by the same session gets the same epoch again. */
export type PublishOutcome = { ok: true; entry: StreamEntry; replaced?: StreamEntry } | { ok: false; holder: StreamEntry };

/** What a node says it publishes when it comes back, with the epochs that it was given. */
export interface Announcement extends TrunkAddress {
  node: string;
  region: string;
  publications: { stream: string; epoch: number; session: string; tracks: TrackDescription[] }[];
}

/** Streams of an announcement that another publisher holds with a higher epoch. */
export interface Held {
  stream: string;
  session: string;
  holder: StreamEntry;
}

/** What a node last said, for every replica. `connectedAt`: ms since the Unix epoch; of two connections the later one counts. */
export interface NodePresence {
  node: string;
  replica: string;
  connectedAt: number;
  hello: Pick<
    Hello,
    | 'podUid'
    | 'bootId'
    | 'bootedAt'
    | 'build'
    | 'protocol'
    | 'roles'
    | 'region'
    | 'provider'
    | 'isp'
    | 'endpoints'
    | 'kernel'
    | 'cpus'
    | 'cpusExclusive'
  >;
  /** Absent until the first report. `reportedAt`: ms since the Unix epoch, by control's clock. */
  report?: Report | undefined;
  reportedAt?: number | undefined;
}

export type DirectoryChange =
  | { type: 'published'; entry: StreamEntry }
  | { type: 'removed'; stream: string; epoch: number }
  | { type: 'node'; presence: NodePresence }
  | { type: 'node-gone'; node: string }
  /** Changes may have been missed: read again what matters. */
  | { type: 'resync' };

export interface StreamPage {
  items: StreamEntry[];
  /** Give it to the next list; absent at the end. */
  continue?: string;
}

/** Methods reject when the store cannot be reached; what they acknowledged is not lost while its lease lasts. */
export interface StreamDirectory {
  /** Gives the name to the claim, with an epoch above every earlier one, or says who holds it. */
  publish(claim: Claim): Promise<PublishOutcome>;
  /** Takes back in what a node publishes, and drops what it published and no longer names. For a name held by two the higher epoch wins. */
  announce(announcement: Announcement): Promise<Held[]>;
  /** false: this epoch is not the one that lives. */
  unpublish(stream: string, epoch: number, session: string): Promise<boolean>;
  get(stream: string): Promise<StreamEntry | undefined>;
  /** By name. */
  list(query: { node?: string; prefix?: string; limit: number; continue?: string }): Promise<StreamPage>;
  /** Renews the lease of the node and of its streams. A presence of an earlier connection than the known one is ignored. */
  heartbeat(presence: NodePresence): Promise<void>;
  /** Ends a node's lease now: its streams are gone. With `connectedAt`: only if that connection is still the node's. */
  dropNode(node: string, connectedAt?: number): Promise<void>;
  nodes(): Promise<NodePresence[]>;
  /** Changes from now on, of all replicas, each stream's in the order they were made. Returns the function that ends it. */
  watch(listener: (change: DirectoryChange) => void): () => void;
  close(): Promise<void>;
}

export const DEFAULT_LEASE_MS = 15_000;

/** max(wall ms, previous + 1): grows whatever the wall clock does, and across the loss of what was known. */
export function nextEpoch(wallMs: number, previous: number | undefined): number {
  return Math.max(Math.floor(wallMs), (previous ?? 0) + 1);
}
