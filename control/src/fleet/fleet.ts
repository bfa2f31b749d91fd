import { trunkAddressOf, type StreamReport } from '@millrace/api';
import { isHttps, type Clock } from '@millrace/service';
import { isDeepStrictEqual } from 'node:util';
import type { NodePresence } from '../directory/index.ts';
import type { Candidate } from '../scheduler/index.ts';
import type { NodeAddress, NodeSpec } from './node-spec.ts';
import { RegionRtts } from './region-rtts.ts';

/** `address`: a node's address has changed, which concerns the nodes that dial it. */
export type FleetChange =
  | { type: 'spec'; node: string; spec: NodeSpec; addressChanged: boolean }
  | { type: 'presence'; node: string; addressChanged: boolean; streams: ReadonlySet<string> }
  | { type: 'spec-gone'; node: string }
  | { type: 'presence-gone'; node: string; streams: ReadonlySet<string> };

/** All media nodes, connected to this replica or to others. The cost of an update does not grow with the number of nodes. */
export class Fleet {
  readonly #clock: Clock;
  readonly #specs = new Map<string, NodeSpec>();
  readonly #presences = new Map<string, NodePresence>();
  readonly #byPodUid = new Map<string, string>();
  readonly #pending = new Map<string, number>();
  readonly #disconnected = new Set<string>();
  readonly #carriers = new Map<string, Map<string, StreamReport>>();
  readonly #listeners = new Set<(change: FleetChange) => void>();
  readonly #rtts: RegionRtts;

  constructor(options: { clock: Clock }) {
    this.#clock = options.clock;
    this.#rtts = new RegionRtts(options.clock);
  }

  watch(listener: (change: FleetChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  spec(node: string): NodeSpec | undefined {
    return this.#specs.get(node);
  }

  specs(): IterableIterator<NodeSpec> {
    return this.#specs.values();
  }

  specByPodUid(podUid: string): NodeSpec | undefined {
    const name = this.#byPodUid.get(podUid);
    return name === undefined ? undefined : this.#specs.get(name);
  }

  presence(node: string): NodePresence | undefined {
    return this.#presences.get(node);
  }

  presences(): IterableIterator<NodePresence> {
    return this.#presences.values();
  }

  /** The nodes that carry a stream, according to their reports. */
  carriers(stream: string): ReadonlyMap<string, StreamReport> {
    return this.#carriers.get(stream) ?? new Map<string, StreamReport>();
  }

  addressOf(node: string): NodeAddress | undefined {
    const spec = this.#specs.get(node);
    const endpoints = this.#presences.get(node)?.hello.endpoints;
    const address = endpoints ? trunkAddressOf(endpoints) : spec?.lastAddress;
    const region = spec?.region ?? this.#presences.get(node)?.hello.region;
    return address && region !== undefined ? { region, ...address } : undefined;
  }

  /** Whether some replica is connected to the node and heard from it recently. A silent node may have lost its streams to another. */
  isLive(node: string, silentMs: number): boolean {
    const presence = this.#presences.get(node);
    if (!presence || this.#disconnected.has(node)) return false;
    return this.#clock.wall() - (presence.reportedAt ?? presence.connectedAt) <= silentMs;
  }

  isConnected(node: string): boolean {
    return this.#presences.has(node) && !this.#disconnected.has(node);
  }

  setSpec(spec: NodeSpec): void {
    const before = this.#specs.get(spec.name);
    const addressBefore = this.addressOf(spec.name);
    if (before) this.#byPodUid.delete(before.podUid);
    this.#specs.set(spec.name, spec);
    this.#byPodUid.set(spec.podUid, spec.name);
    const addressChanged = !isDeepStrictEqual(addressBefore, this.addressOf(spec.name));
    this.#emit({ type: 'spec', node: spec.name, spec, addressChanged });
  }

  deleteSpec(node: string): void {
    const spec = this.#specs.get(node);
    if (!spec) return;
    this.#specs.delete(node);
    this.#byPodUid.delete(spec.podUid);
    this.#emit({ type: 'spec-gone', node });
  }

  setPresence(presence: NodePresence): void {
    const { node } = presence;
    const before = this.#presences.get(node);
    if (before && before.connectedAt > presence.connectedAt) return;
    // The directory may echo an earlier report of a node of this replica after its next one.
    if (before?.connectedAt === presence.connectedAt && (before.reportedAt ?? 0) > (presence.reportedAt ?? 0)) return;
    const addressBefore = this.addressOf(node);
    this.#presences.set(node, presence);
    if (before?.connectedAt !== presence.connectedAt) this.#disconnected.delete(node);
    if (presence.report && presence.reportedAt !== before?.reportedAt) this.#pending.delete(node);
    const streams = this.#carry(node, before?.report?.streams ?? [], presence.report?.streams ?? []);
    const addressChanged = !isDeepStrictEqual(addressBefore, this.addressOf(node));
    this.#emit({ type: 'presence', node, addressChanged, streams });
  }

  deletePresence(node: string): void {
    const before = this.#presences.get(node);
    if (!before) return;
    this.#presences.delete(node);
    this.#pending.delete(node);
    this.#disconnected.delete(node);
    const streams = this.#carry(node, before.report?.streams ?? [], []);
    this.#emit({ type: 'presence-gone', node, streams });
  }

  /** Marks the connection `connectedAt` of this replica as ended; the node's lease continues. */
  setDisconnected(node: string, connectedAt: number): void {
    if (this.#presences.get(node)?.connectedAt === connectedAt) this.#disconnected.add(node);
  }

  /** Counts a placement on the node until its next report includes it. */
  placed(node: string): void {
    this.#pending.set(node, (this.#pending.get(node) ?? 0) + 1);
  }

  candidates(stream: string): Candidate[] {
    const now = this.#clock.wall();
    const carriers = this.#carriers.get(stream);
    return [...this.#specs.values()].map((spec) => {
      const presence = this.#presences.get(spec.name);
      return {
        node: spec.name,
        region: spec.region,
        isp: spec.isp,
        roles: spec.roles,
        connected: presence !== undefined && !this.#disconnected.has(spec.name),
        reportAgeMs: presence?.reportedAt === undefined ? undefined : Math.max(0, now - presence.reportedAt),
        load: presence?.report?.load,
        capacity: spec.capacity,
        pending: this.#pending.get(spec.name) ?? 0,
        cordoned: spec.cordoned,
        draining: spec.drain !== undefined,
        https: isHttps(presence?.hello.endpoints.signalingUrl ?? ''),
        carries: carriers?.has(spec.name) ?? false,
      };
    });
  }

  /** Lowest RTT measured between nodes of the two regions, ms. */
  regionRttMs(from: string, to: string): number | undefined {
    return this.#rtts.between(from, to, this.#presences.values(), (node) => this.#specs.get(node)?.region);
  }

  /** Updates the index. Returns the streams that either report names. */
  #carry(node: string, before: readonly StreamReport[], after: readonly StreamReport[]): Set<string> {
    const touched = new Set<string>();
    for (const { stream } of before) touched.add(stream);
    for (const report of after) {
      touched.add(report.stream);
      let nodes = this.#carriers.get(report.stream);
      if (!nodes) this.#carriers.set(report.stream, (nodes = new Map<string, StreamReport>()));
      nodes.set(node, report);
    }
    const kept = new Set(after.map((report) => report.stream));
    for (const { stream } of before) {
      if (kept.has(stream)) continue;
      const nodes = this.#carriers.get(stream);
      nodes?.delete(node);
      if (nodes?.size === 0) this.#carriers.delete(stream);
    }
    return touched;
  }

  #emit(change: FleetChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
