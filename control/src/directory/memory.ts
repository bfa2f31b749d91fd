import type { Clock, Timer } from '@millrace/service';
import type {
  Announcement,
  Claim,
  DirectoryChange,
  Held,
  NodePresence,
  PublishOutcome,
  StreamDirectory,
  StreamEntry,
  StreamPage,
} from './directory.ts';
import { DEFAULT_LEASE_MS, nextEpoch } from './directory.ts';

interface Lease {
  presence?: NodePresence;
  expiresAt: number;
  streams: Set<string>;
}

/** How many past epochs are remembered. Of names beyond that, only wall time keeps epochs growing. */
const REMEMBERED_EPOCHS = 100_000;

/** The directory of a single control process. After a restart, nodes announce what they publish, which rebuilds it. */
export class MemoryDirectory implements StreamDirectory {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #entries = new Map<string, StreamEntry>();
  readonly #epochs = new Map<string, number>();
  readonly #leases = new Map<string, Lease>();
  readonly #listeners = new Set<(change: DirectoryChange) => void>();
  #sweep: Timer | undefined;

  constructor(options: { clock: Clock; leaseMs?: number }) {
    this.#clock = options.clock;
    this.#leaseMs = options.leaseMs ?? DEFAULT_LEASE_MS;
  }

  publish(claim: Claim): Promise<PublishOutcome> {
    const { takeover, ...rest } = claim;
    const holder = this.#entries.get(claim.stream);
    const same = holder?.node === claim.node && holder.session === claim.session;
    if (holder && !same && !takeover) return Promise.resolve({ ok: false, holder });
    const entry: StreamEntry = same
      ? { ...rest, epoch: holder.epoch, since: holder.since }
      : { ...rest, epoch: nextEpoch(this.#clock.wall(), this.#epochs.get(claim.stream)), since: this.#clock.wall() };
    this.#put(entry);
    return Promise.resolve(holder && !same ? { ok: true, entry, replaced: holder } : { ok: true, entry });
  }

  announce(announcement: Announcement): Promise<Held[]> {
    const { node, publications, ...where } = announcement;
    const held: Held[] = [];
    const named = new Set(publications.map((publication) => publication.stream));
    for (const stream of [...(this.#leases.get(node)?.streams ?? [])]) if (!named.has(stream)) this.#remove(stream);
    for (const { stream, epoch, session, tracks } of publications) {
      const holder = this.#entries.get(stream);
      if (holder && holder.node !== node && holder.epoch >= epoch) {
        held.push({ stream, session, holder });
        continue;
      }
      if (!holder && epoch < (this.#epochs.get(stream) ?? 0)) {
        held.push({ stream, session });
        continue;
      }
      if (holder && holder.node === node && holder.epoch > epoch) continue;
      const since = holder?.epoch === epoch ? holder.since : epoch;
      const user = holder?.epoch === epoch ? holder.user : undefined;
      this.#put({ stream, epoch, node, ...where, session, tracks, since, ...(user === undefined ? {} : { user }) });
    }
    return Promise.resolve(held);
  }

  unpublish(stream: string, epoch: number, session: string): Promise<boolean> {
    const entry = this.#entries.get(stream);
    if (!entry || entry.epoch !== epoch || entry.session !== session) return Promise.resolve(false);
    this.#remove(stream);
    this.#remember(stream, epoch + 1);
    return Promise.resolve(true);
  }

  describe({ epoch, ...claim }: Omit<Claim, 'takeover' | 'user'> & { epoch: number }): Promise<StreamEntry | undefined> {
    const entry = this.#entries.get(claim.stream);
    if (entry?.epoch !== epoch || entry.session !== claim.session) return Promise.resolve(undefined);
    const changed = { ...entry, ...claim };
    this.#put(changed);
    return Promise.resolve(changed);
  }

  get(stream: string): Promise<StreamEntry | undefined> {
    return Promise.resolve(this.#entries.get(stream));
  }

  list(query: { node?: string; prefix?: string; limit: number; continue?: string }): Promise<StreamPage> {
    const names = query.node === undefined ? this.#entries.keys() : (this.#leases.get(query.node)?.streams ?? []);
    const wanted = [...names].filter(
      (name) => name.startsWith(query.prefix ?? '') && (query.continue === undefined || name > query.continue),
    );
    wanted.sort();
    const page = wanted.slice(0, query.limit);
    const items = page.map((name) => this.#entries.get(name)!);
    return Promise.resolve(wanted.length > page.length ? { items, continue: page.at(-1)! } : { items });
  }

  heartbeat(presence: NodePresence): Promise<void> {
    const lease = this.#leaseOf(presence.node);
    if (lease.presence && lease.presence.connectedAt > presence.connectedAt) return Promise.resolve();
    lease.presence = presence;
    lease.expiresAt = this.#clock.now() + this.#leaseMs;
    this.#emit({ type: 'node', presence });
    return Promise.resolve();
  }

  dropNode(node: string, connectedAt?: number): Promise<void> {
    const lease = this.#leases.get(node);
    if (!lease) return Promise.resolve();
    if (connectedAt !== undefined && lease.presence && lease.presence.connectedAt > connectedAt) return Promise.resolve();
    this.#leases.delete(node);
    for (const stream of lease.streams) this.#remove(stream);
    this.#emit({ type: 'node-gone', node });
    return Promise.resolve();
  }

  nodes(): Promise<NodePresence[]> {
    return Promise.resolve([...this.#leases.values()].flatMap((lease) => (lease.presence ? [lease.presence] : [])));
  }

  watch(listener: (change: DirectoryChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    this.#clock.clearTimeout(this.#sweep);
    this.#sweep = undefined;
    this.#listeners.clear();
    return Promise.resolve();
  }

  #put(entry: StreamEntry): void {
    const before = this.#entries.get(entry.stream);
    if (before && before.node !== entry.node) this.#leases.get(before.node)?.streams.delete(entry.stream);
    this.#entries.set(entry.stream, entry);
    this.#remember(entry.stream, entry.epoch);
    this.#leaseOf(entry.node).streams.add(entry.stream);
    this.#emit({ type: 'published', entry });
  }

  #remove(stream: string): void {
    const entry = this.#entries.get(stream);
    if (!entry) return;
    this.#entries.delete(stream);
    this.#leases.get(entry.node)?.streams.delete(stream);
    this.#emit({ type: 'removed', stream, epoch: entry.epoch });
  }

  #remember(stream: string, epoch: number): void {
    const highest = Math.max(epoch, this.#epochs.get(stream) ?? 0);
    this.#epochs.delete(stream);
    this.#epochs.set(stream, highest);
    if (this.#epochs.size > REMEMBERED_EPOCHS) {
      const oldest = this.#epochs.keys().next();
      if (!oldest.done) this.#epochs.delete(oldest.value);
    }
  }

  #leaseOf(node: string): Lease {
    let lease = this.#leases.get(node);
    if (!lease) {
      lease = { expiresAt: this.#clock.now() + this.#leaseMs, streams: new Set() };
      this.#leases.set(node, lease);
      this.#scheduleSweep();
    }
    return lease;
  }

  #scheduleSweep(): void {
    if (this.#sweep || this.#leases.size === 0) return;
    this.#sweep = this.#clock.setTimeout(() => {
      this.#sweep = undefined;
      const now = this.#clock.now();
      for (const [node, lease] of this.#leases) if (lease.expiresAt <= now) void this.dropNode(node);
      this.#scheduleSweep();
    }, this.#leaseMs / 5);
    this.#sweep.unref();
  }

  #emit(change: DirectoryChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
