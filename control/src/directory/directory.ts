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

/** `replaced`: the publisher that lost the name to a takeover. A repeated claim by the same session gets the same epoch. */
export type PublishOutcome = { ok: true; entry: StreamEntry; replaced?: StreamEntry } | { ok: false; holder: StreamEntry };

/** The publications that a node announces when it reconnects, with the epochs that they were given. */
export interface Announcement extends TrunkAddress {
  node: string;
  region: string;
  publications: { stream: string; epoch: number; session: string; tracks: TrackDescription[] }[];
}

/** Streams of an announcement that another publisher holds with a higher epoch. */
export interface Held {
  stream: string;
  session: string;
  /** Absent where nobody does: a later epoch has been given out since, or this one was given back. */
  holder?: StreamEntry;
}

/** The last hello and report of a node, shared by all replicas. `connectedAt`: ms since the Unix epoch; the later of two connections counts. */
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
  /** Changes may have been missed, so the watcher must read the directory again. */
  | { type: 'resync' };

export interface StreamPage {
  items: StreamEntry[];
  /** Pass it to the next list; absent on the last page. */
  continue?: string;
}

/** Methods reject when the store cannot be reached. An acknowledged write is not lost while its lease lasts. */
export interface StreamDirectory {
  /** Gives the name to the claim, with an epoch above every earlier one, or returns who holds it. */
  publish(claim: Claim): Promise<PublishOutcome>;
  /**
   * Restores the publications of a node and drops its other entries. When two nodes hold a name, the higher epoch wins. An epoch that was given back, or
   * after which another was given out, never comes back.
   */
  announce(announcement: Announcement): Promise<Held[]>;
  /** Changes the tracks of a publication. Returns its entry; undefined when this epoch of this session is not the current one. */
  describe(publication: Omit<Claim, 'takeover' | 'user'> & { epoch: number }): Promise<StreamEntry | undefined>;
  /** Returns false when this epoch is not the current one. */
  unpublish(stream: string, epoch: number, session: string): Promise<boolean>;
  get(stream: string): Promise<StreamEntry | undefined>;
  /** Sorted by name. */
  list(query: { node?: string; prefix?: string; limit: number; continue?: string }): Promise<StreamPage>;
  /** Renews the lease of the node and of its streams. A presence of an earlier connection than the known one is ignored. */
  heartbeat(presence: NodePresence): Promise<void>;
  /** Ends a node's lease now and removes its streams. With `connectedAt`: only if that connection is still the node's latest. */
  dropNode(node: string, connectedAt?: number): Promise<void>;
  nodes(): Promise<NodePresence[]>;
  /** Watches changes from all replicas, each stream's in order. Returns a function that ends the watch. */
  watch(listener: (change: DirectoryChange) => void): () => void;
  close(): Promise<void>;
}

export const DEFAULT_LEASE_MS = 15_000;
/** How long it is remembered, s, which epoch of a name was given out last and whether it was given back: longer than its grant counts. */
export const EPOCH_MEMORY_S = 604_800;

/** max(wall ms, previous + 1): grows even when the wall clock steps back, or when earlier epochs are lost. */
export function nextEpoch(wallMs: number, previous: number | undefined): number {
  return Math.max(Math.floor(wallMs), (previous ?? 0) + 1);
}
