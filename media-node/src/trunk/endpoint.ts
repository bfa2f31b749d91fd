import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { NodeCertificateVerifier } from '@millrace/api';
import { type Clock, realClock, type Timer } from '@millrace/service';
import type { DatagramIo, OutgoingDatagram, PeerAddress, ReceivedDatagram } from './io/datagram.ts';
import { DEFAULT_TRUNK_SETTINGS, type TrunkSettings } from './settings.ts';
import { Capability } from './link/hello.ts';
import { Identity, SEED_BYTES } from './link/identity.ts';
import { KeyRing, type MeshKey } from './link/keys.ts';
import { LinkIndex } from './link/link-index.ts';
import type { PeerLink } from './link/peer-link.ts';
import { MAX_DATAGRAM } from './link/wire.ts';
import { type EndpointDropReason, Reception, type ReceptionHost } from './reception.ts';
import { TimerHeap } from './scheduling/timer-heap.ts';
import { Trunk } from './trunk.ts';

const MAX_TRUNKS = 2048;
/** Trunks that a peer opened are removed this long after they were lost, or when the handshake did not complete. */
const FORGET_AFTER_MS = 60_000;
const HOUSEKEEPING_MS = 5_000;
/** A timer that fires this late means that this process was stalled: datagrams may be unread in the socket buffer. */
const STALL_MS = 15;
/** Time to read the backlog before any trunk is declared lost. */
const CATCH_UP_MS = 25;
/** A batch of this many datagrams counts as a backlog. */
const BACKLOG = 64;
const RESOLVE_AGAIN_MS = 2_000;
/** Addresses of one peer, over all of its names. */
const MAX_ADDRESSES_OF_PEER = 16;
/** About half a heartbeat interval. */
const MOVE_WITHIN_MS = 20;

/** A node to dial: its host, alternative hosts of the same node, and the port, the same on all hosts. */
export interface DialTarget {
  node: string;
  host: string;
  otherHosts?: readonly string[] | undefined;
  port: number;
}

export interface EndpointOptions {
  io: DatagramIo;
  /** Name of this node, at most 120 bytes. seed: of the Ed25519 key by which its peers know it; default: a random one. */
  self: { node: string; seed?: Buffer };
  /** Mesh keys: handshakes are initiated with the first one and accepted with any. */
  keys: readonly MeshKey[];
  settings?: TrunkSettings;
  clock?: Clock;
  random?: (bytes: number) => Buffer;
  /** Runs `fn` after the current poll phase; simulations pass their own order. */
  defer?: (fn: () => void) => void;
}

export interface TrunkConfiguration {
  keys?: readonly MeshKey[];
  settings?: TrunkSettings;
  /** This node's own certificate, and who certifies its peers. See Identity.certify. */
  certification?: { certificate: Buffer | undefined; authorities: NodeCertificateVerifier | undefined };
}

interface EndpointEvents {
  /** Emitted once for each peer, before its first 'up', whichever side dialled. Attach handlers here. */
  trunk: [Trunk];
}

/** Packets of a burst come to a publisher's socket one callback each: they go on together. */
function afterPoll(fn: () => void): void {
  setImmediate(fn);
}

/** All trunks of one node over one socket. */
export class TrunkEndpoint extends EventEmitter<EndpointEvents> implements ReceptionHost {
  readonly node: string;
  readonly boot: string;
  readonly clock: Clock;
  readonly capabilities = Capability.forward | Capability.fec;
  readonly identity: Identity;
  keys: KeyRing;
  settings: TrunkSettings;
  judgeAfterMs = -Infinity;
  readonly links = new LinkIndex<PeerLink>((bytes) => this.random(bytes));
  /** Dropped datagrams by reason. */
  readonly drops: Partial<Record<EndpointDropReason, number>> = {};
  private readonly io: DatagramIo;
  private readonly randomSource: (bytes: number) => Buffer;
  private readonly deferTurn: (fn: () => void) => void;
  private readonly trunkOf = new Map<string, Trunk>();
  private readonly announced = new WeakSet<Trunk>();
  private readonly targets = new WeakMap<Trunk, DialTarget>();
  private readonly trunkByLink = new Map<PeerLink, Trunk>();
  private readonly reception: Reception;
  private readonly heap = new TimerHeap<Trunk>();
  private dirty = new Set<Trunk>();
  private outgoing: OutgoingDatagram[] = [];
  private turnDeferred = false;
  private inTurn = false;
  private timer: Timer | undefined;
  private timerDueMs = Infinity;
  private lastStamp = 0n;
  private tidyMs = 0;
  private closed = false;

  constructor(options: EndpointOptions) {
    super();
    this.io = options.io;
    this.node = options.self.node;
    this.keys = new KeyRing(options.keys);
    this.settings = options.settings ?? DEFAULT_TRUNK_SETTINGS;
    this.clock = options.clock ?? realClock;
    this.randomSource = options.random ?? randomBytes;
    this.deferTurn = options.defer ?? afterPoll;
    this.boot = this.random(8).toString('hex');
    this.identity = new Identity(options.self.seed ?? this.random(SEED_BYTES));
    this.reception = new Reception(this);
    this.io.onBatch = (batch) => this.receiveBatch(batch);
  }

  get trunks(): Iterable<Trunk> {
    return this.trunkOf.values();
  }

  /**
   * Applies rotated keys and new settings, also to trunks that are up. New window sizes apply to conversations that begin later, a new certificate and other
   * authorities to the next handshake of each trunk.
   */
  configure(change: TrunkConfiguration): void {
    if (change.certification) this.identity.certify(change.certification.certificate, change.certification.authorities);
    if (change.settings) {
      this.settings = change.settings;
      for (const trunk of this.trunkOf.values()) trunk.applySettings(change.settings);
    }
    if (!change.keys) return;
    this.keys = new KeyRing(change.keys);
    for (const trunk of this.trunkOf.values()) {
      trunk.link.keysChanged(this.now());
      this.touch(trunk);
    }
  }

  /**
   * Returns the trunk to this peer, created if there is none, and keeps it up until `close`. Addresses are tried in turn until one answers.
   * New addresses take effect only while the trunk is not up.
   */
  dial(peer: DialTarget): Trunk {
    const trunk = this.trunkOf.get(peer.node) ?? this.addTrunk(peer.node);
    this.announce(trunk);
    trunk.link.wanted = true;
    this.resolve(trunk, peer);
    return trunk;
  }

  trunk(node: string): Trunk | undefined {
    return this.trunkOf.get(node);
  }

  /** Notifies the peers, closes all trunks and the socket. */
  async close(): Promise<void> {
    if (this.closed) return;
    for (const trunk of [...this.trunkOf.values()]) trunk.close();
    this.turn();
    this.closed = true;
    this.clock.clearTimeout(this.timer);
    await this.io.close();
  }

  get receiveWindow(): number {
    return this.settings.kcp.receiveWindow;
  }

  now(): number {
    return this.clock.now();
  }

  maxDatagramTo(to: PeerAddress): number | Promise<number> {
    return this.io.maxDatagramTo?.(to) ?? MAX_DATAGRAM;
  }

  random(bytes: number): Buffer {
    return this.randomSource(bytes);
  }

  nextStamp(): bigint {
    const wall = BigInt(Math.floor(this.clock.wall())) * 1000n;
    this.lastStamp = wall > this.lastStamp ? wall : this.lastStamp + 1n;
    return this.lastStamp;
  }

  trunkOfLink(link: PeerLink): Trunk | undefined {
    return this.trunkByLink.get(link);
  }

  trunkFor(node: string): Trunk | undefined {
    return this.trunkOf.get(node) ?? (this.trunkOf.size < MAX_TRUNKS ? this.addTrunk(node) : undefined);
  }

  send(data: Buffer, to: PeerAddress): void {
    this.outgoing.push({ data, to });
  }

  touch(trunk: Trunk): void {
    this.dirty.add(trunk);
    if (!this.inTurn) this.deferOnce();
  }

  private readonly deferredTurn = (): void => {
    this.turnDeferred = false;
    this.turn();
  };

  /** Replies to a batch of datagrams are sent as one batch. */
  private receiveBatch(batch: ReceivedDatagram[]): void {
    if (this.closed) return;
    const nowMs = this.now();
    this.noteStall(nowMs);
    this.noteBacklog(batch.length, nowMs);
    this.inTurn = true;
    try {
      for (const { data, from } of batch) {
        const reason = this.reception.receive(data, from, nowMs);
        if (reason) this.count(reason);
      }
    } finally {
      // When a handler throws, the error goes to its owner; the other trunks are still flushed.
      this.inTurn = false;
      this.turn();
    }
  }

  private resolve(trunk: Trunk, peer: DialTarget): void {
    this.targets.set(trunk, peer);
    const hosts = [peer.host, ...(peer.otherHosts ?? [])];
    void Promise.all(hosts.map((host) => this.io.resolve(host).catch(() => []))).then((found) => {
      const addresses = [...new Set(found.flat())].slice(0, MAX_ADDRESSES_OF_PEER);
      trunk.resolved(hosts, addresses.length);
      this.aim(
        trunk,
        addresses.map((address) => ({ address, port: peer.port })),
      );
      // Resolve again even when only one of several names failed.
      if (found.some((ofHost) => ofHost.length === 0)) this.resolveAgain(trunk, peer);
    });
  }

  private resolveAgain(trunk: Trunk, peer: DialTarget): void {
    this.count('unresolved');
    this.clock
      .setTimeout(() => {
        const isWanted = !this.closed && trunk.state !== 'closed' && trunk.state !== 'up';
        if (isWanted && this.targets.get(trunk) === peer) this.resolve(trunk, peer);
      }, RESOLVE_AGAIN_MS)
      .unref();
  }

  private aim(trunk: Trunk, addresses: PeerAddress[]): void {
    if (this.closed || trunk.state === 'closed' || trunk.state === 'up' || addresses.length === 0) return;
    trunk.link.aim(addresses, this.now());
    this.touch(trunk);
  }

  private addTrunk(peer: string): Trunk {
    const trunk = new Trunk(this, peer);
    this.trunkOf.set(peer, trunk);
    this.trunkByLink.set(trunk.link, trunk);
    trunk.once('closed', () => this.removeTrunk(trunk));
    return trunk;
  }

  private removeTrunk(trunk: Trunk): void {
    this.heap.set(trunk, Infinity);
    this.dirty.delete(trunk);
    this.trunkOf.delete(trunk.peer);
    this.trunkByLink.delete(trunk.link);
  }

  /** Emits 'trunk' the first time, before the trunk's own 'up', so that handlers attached there see 'up'. */
  announce(trunk: Trunk): void {
    if (this.announced.has(trunk)) return;
    this.announced.add(trunk);
    this.emit('trunk', trunk);
  }

  private turn(): void {
    if (this.closed) return;
    const nowMs = this.now();
    this.noteStall(nowMs);
    this.inTurn = true;
    try {
      this.flushDue(nowMs);
      if (nowMs >= this.tidyMs) this.tidy(nowMs);
    } finally {
      this.inTurn = false;
      this.sendOutgoing();
      if (this.dirty.size > 0) this.deferOnce();
      this.arm(nowMs);
    }
  }

  private flushDue(nowMs: number): void {
    const trunks = this.dirty;
    this.dirty = new Set();
    for (const trunk of trunks) this.flush(trunk, nowMs);
    for (let first = this.heap.first; first && first.dueMs <= nowMs; first = this.heap.first) this.flush(first, nowMs);
  }

  private sendOutgoing(): void {
    if (this.outgoing.length === 0) return;
    const batch = this.outgoing;
    this.outgoing = [];
    this.io.sendBatch(batch);
  }

  private deferOnce(): void {
    if (this.turnDeferred) return;
    this.turnDeferred = true;
    this.deferTurn(this.deferredTurn);
  }

  private flush(trunk: Trunk, nowMs: number): void {
    if (trunk.state === 'closed') {
      this.heap.set(trunk, Infinity);
      return;
    }
    // A trunk with more to send yields to the others.
    this.heap.set(trunk, Math.max(trunk.flush(nowMs), nowMs + 0.1));
  }

  private arm(nowMs: number): void {
    const dueMs = this.heap.first?.dueMs ?? Infinity;
    // Re-arm a timer whose deadline is obsolete, but only when it is about to fire: re-arming in each turn costs more than a spare wake-up.
    const isStale = dueMs > this.timerDueMs && this.timerDueMs - nowMs < MOVE_WITHIN_MS;
    if (dueMs >= this.timerDueMs && !isStale) return;
    this.clock.clearTimeout(this.timer);
    this.timerDueMs = dueMs;
    this.timer = dueMs === Infinity ? undefined : this.clock.setTimeout(this.onTimer, Math.max(0, dueMs - nowMs));
  }

  private readonly onTimer = (): void => {
    const nowMs = this.now();
    this.noteStall(nowMs);
    this.timer = undefined;
    this.timerDueMs = Infinity;
    this.turn();
  };

  /** A timer that is long overdue shows that this process was stalled. */
  private noteStall(nowMs: number): void {
    if (nowMs - this.timerDueMs > STALL_MS) this.judgeAfterMs = nowMs + CATCH_UP_MS;
  }

  /** After a stall the socket holds a backlog: no trunk is declared lost before it is read. */
  private noteBacklog(datagrams: number, nowMs: number): void {
    if (nowMs < this.judgeAfterMs && datagrams >= BACKLOG) this.judgeAfterMs = nowMs + CATCH_UP_MS;
  }

  /** Closes trunks that this node did not dial and that the peer no longer keeps up. */
  private tidy(nowMs: number): void {
    this.tidyMs = nowMs + HOUSEKEEPING_MS;
    for (const trunk of [...this.trunkOf.values()]) {
      if (trunk.state === 'up' || trunk.link.wanted || !trunk.link.idle) continue;
      if (nowMs - trunk.sinceMs > FORGET_AFTER_MS) trunk.close();
    }
  }

  private count(reason: EndpointDropReason): void {
    this.drops[reason] = (this.drops[reason] ?? 0) + 1;
  }
}
