import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { type Clock, realClock, type Timer } from '@millrace/service';
import type { DatagramIo, OutgoingDatagram, PeerAddress, ReceivedDatagram } from './io/datagram.ts';
import { DEFAULT_KNOBS, type TrunkKnobs } from './knobs.ts';
import { CookieJar, RateLimit } from './link/cookie.ts';
import { Capability, decodeHello } from './link/hello.ts';
import { KeyRing, type MeshKey } from './link/keys.ts';
import { NoiseResponder } from './link/noise.ts';
import { type DropReason, type PeerLink, PROLOGUE } from './link/peer-link.ts';
import * as wire from './link/wire.ts';
import { TimerHeap } from './scheduling/timer-heap.ts';
import { Trunk, type TrunkHost } from './trunk.ts';

const MAX_TRUNKS = 2048;
/** Trunks that the peer opened are forgotten when nothing came of them, or this long after they were lost. */
const FORGET_AFTER_MS = 60_000;
const HOUSEKEEPING_MS = 5_000;
/** A timer that fires this late means that this process was held up: what it has not heard may lie in the socket. */
const STALL_MS = 15;
/** Time to read what has piled up before anyone is judged. */
const CATCH_UP_MS = 25;
const RESOLVE_AGAIN_MS = 2_000;
const HANDSHAKES_PER_SECOND = 500;
const REPLIES_PER_SECOND = 100;

export interface EndpointOptions {
  io: DatagramIo;
  /** Name of this node, at most 120 bytes. */
  self: { node: string };
  /** Mesh keys; the first is used, all are accepted. */
  keys: readonly MeshKey[];
  knobs?: TrunkKnobs;
  clock?: Clock;
  random?: (bytes: number) => Buffer;
  /** Runs soon, after the current callback; a microtask unless a simulation has its own order. */
  defer?: (fn: () => void) => void;
}

export type EndpointDropReason = DropReason | 'version' | 'unknownKey' | 'short' | 'unknownType' | 'full' | 'unresolved';

interface EndpointEvents {
  /** Once for each peer, before its first 'up', whoever dialled: the place to attach handlers. */
  trunk: [Trunk];
}

/** All trunks of one node over one socket. */
export class TrunkEndpoint extends EventEmitter<EndpointEvents> implements TrunkHost {
  readonly node: string;
  readonly boot: string;
  readonly capabilities = Capability.forward | Capability.fec;
  keys: KeyRing;
  knobs: TrunkKnobs;
  judgeAfterMs = -Infinity;
  /** Datagrams that were not taken, by reason. */
  readonly drops: Partial<Record<EndpointDropReason, number>> = {};
  private readonly io: DatagramIo;
  private readonly clock: Clock;
  private readonly randomSource: (bytes: number) => Buffer;
  private readonly deferTurn: (fn: () => void) => void;
  private readonly trunkOf = new Map<string, Trunk>();
  private readonly announced = new WeakSet<Trunk>();
  private readonly targets = new WeakMap<Trunk, { host: string; port: number }>();
  private readonly linkOf = new Map<number, PeerLink>();
  private readonly trunkOfLink = new Map<PeerLink, Trunk>();
  private readonly heap = new TimerHeap<Trunk>();
  private readonly jar: CookieJar;
  private readonly handshakes: RateLimit;
  private readonly replies: RateLimit;
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
    this.knobs = options.knobs ?? DEFAULT_KNOBS;
    this.clock = options.clock ?? realClock;
    this.randomSource = options.random ?? randomBytes;
    this.deferTurn = options.defer ?? queueMicrotask;
    this.boot = this.random(8).toString('hex');
    const nowMs = this.now();
    this.jar = new CookieJar(this.randomSource, nowMs);
    this.handshakes = new RateLimit(HANDSHAKES_PER_SECOND, 2 * HANDSHAKES_PER_SECOND, nowMs);
    this.replies = new RateLimit(REPLIES_PER_SECOND, REPLIES_PER_SECOND, nowMs);
    this.io.onBatch = (batch) => this.receiveBatch(batch);
  }

  get trunks(): Iterable<Trunk> {
    return this.trunkOf.values();
  }

  /** New keys (rotation) and knobs, on trunks that are up too. Windows count for conversations that begin later. */
  configure(change: { keys?: readonly MeshKey[]; knobs?: TrunkKnobs }): void {
    if (change.knobs) {
      this.knobs = change.knobs;
      for (const trunk of this.trunkOf.values()) trunk.applyKnobs(change.knobs);
    }
    if (!change.keys) return;
    this.keys = new KeyRing(change.keys);
    for (const trunk of this.trunkOf.values()) {
      trunk.link.keysChanged(this.now());
      this.touch(trunk);
    }
  }

  /** The trunk to this peer, begun if there is none; kept up until `close`. A new address counts as long as the trunk is not up. */
  dial(peer: { node: string; host: string; port: number }): Trunk {
    const trunk = this.trunkOf.get(peer.node) ?? this.addTrunk(peer.node);
    this.announce(trunk);
    trunk.link.wanted = true;
    this.resolve(trunk, peer);
    return trunk;
  }

  trunk(node: string): Trunk | undefined {
    return this.trunkOf.get(node);
  }

  /** Ends all trunks, telling the peers, and the socket. */
  async close(): Promise<void> {
    if (this.closed) return;
    for (const trunk of [...this.trunkOf.values()]) trunk.close();
    this.turn();
    this.closed = true;
    this.clock.clearTimeout(this.timer);
    await this.io.close();
  }

  get receiveWindow(): number {
    return this.knobs.kcp.receiveWindow;
  }

  now(): number {
    return this.clock.now();
  }

  random(bytes: number): Buffer {
    return this.randomSource(bytes);
  }

  nextStamp(): bigint {
    const wall = BigInt(Math.floor(this.clock.wall())) * 1000n;
    this.lastStamp = wall > this.lastStamp ? wall : this.lastStamp + 1n;
    return this.lastStamp;
  }

  claimIndex(link: PeerLink): number {
    for (;;) {
      const index = this.random(4).readUInt32LE(0);
      if (this.linkOf.has(index)) continue;
      this.linkOf.set(index, link);
      return index;
    }
  }

  releaseIndex(index: number): void {
    this.linkOf.delete(index);
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

  /** Everything that came in together is answered together. */
  private receiveBatch(batch: ReceivedDatagram[]): void {
    if (this.closed) return;
    const nowMs = this.now();
    this.inTurn = true;
    try {
      for (const { data, from } of batch) {
        const reason = this.receive(data, from, nowMs);
        if (reason) this.count(reason);
      }
    } finally {
      // A handler that throws is its owner's affair; the other trunks go on.
      this.inTurn = false;
      this.turn();
    }
  }

  private receive(datagram: Buffer, from: PeerAddress, nowMs: number): EndpointDropReason | undefined {
    if (datagram.length < wire.REFUSAL_BYTES) return 'short';
    if (datagram[1] === wire.DatagramType.refusal) return this.receiveRefusal(datagram);
    if (datagram[0] !== wire.TRUNK_VERSION) return this.refuse(datagram, from, nowMs);
    switch (datagram[1]) {
      case wire.DatagramType.data:
        return this.receiveData(datagram, from, nowMs);
      case wire.DatagramType.initiation:
        return this.receiveInitiation(datagram, from, nowMs);
      case wire.DatagramType.response:
        return this.receiveResponse(datagram, from, nowMs);
      case wire.DatagramType.cookie:
        return this.receiveCookie(datagram, nowMs);
      case wire.DatagramType.unknownSession:
        return this.receiveUnknownSession(datagram, from, nowMs);
      default:
        return 'unknownType';
    }
  }

  private receiveData(datagram: Buffer, from: PeerAddress, nowMs: number): EndpointDropReason | undefined {
    if (datagram.length < wire.DATA_HEADER_BYTES + wire.TAG_BYTES) return 'short';
    const index = datagram.readUInt32LE(4);
    const link = this.linkOf.get(index);
    const trunk = link && this.trunkOfLink.get(link);
    if (!trunk) {
      if (this.replies.take(nowMs)) this.send(wire.encodeUnknownSession(datagram), from);
      return 'unknownSession';
    }
    const plaintext = trunk.link.open(index, datagram, from, nowMs);
    if (typeof plaintext === 'string') return plaintext;
    trunk.receive(plaintext, datagram.length, nowMs);
    this.dirty.add(trunk);
    return undefined;
  }

  private receiveInitiation(datagram: Buffer, from: PeerAddress, nowMs: number): EndpointDropReason | undefined {
    const frame = wire.decodeInitiation(datagram);
    if (!frame) return 'malformed';
    const limited = this.admitHandshake(frame, from, nowMs);
    if (limited) return limited;
    const key = this.keys.byTag(frame.keyTag);
    if (!key) return 'unknownKey';
    let noise;
    try {
      noise = new NoiseResponder(key.psk, PROLOGUE, frame.ephemeral, frame.sealedHello);
    } catch {
      return 'forged';
    }
    const hello = decodeHello(noise.payload);
    if (!hello) return 'malformed';
    if (hello.peer !== this.node || hello.node === this.node) return 'misdirected';
    const trunk = this.trunkOf.get(hello.node) ?? (this.trunkOf.size < MAX_TRUNKS ? this.addTrunk(hello.node) : undefined);
    if (!trunk) return 'full';
    this.dirty.add(trunk);
    return trunk.link.receiveInitiation(noise, key, hello, from, nowMs);
  }

  /** When handshakes come too fast, only those go on that can show that they receive at the address they give. */
  private admitHandshake(frame: wire.InitiationFrame, from: PeerAddress, nowMs: number): EndpointDropReason | undefined {
    if (this.handshakes.take(nowMs)) return undefined;
    const address = `${from.address} ${from.port}`;
    if (this.jar.verify(frame.cookie, address, nowMs)) return undefined;
    if (this.replies.take(nowMs)) this.send(wire.encodeCookieReply(frame.ephemeral, this.jar.bake(address, nowMs)), from);
    return 'limited';
  }

  private receiveResponse(datagram: Buffer, from: PeerAddress, nowMs: number): EndpointDropReason | undefined {
    const frame = wire.decodeResponse(datagram);
    if (!frame) return 'malformed';
    const link = this.linkOf.get(frame.receiverIndex);
    return link ? link.receiveResponse(frame, from, nowMs) : 'unknownSession';
  }

  private receiveCookie(datagram: Buffer, nowMs: number): EndpointDropReason | undefined {
    const reply = wire.decodeCookieReply(datagram);
    if (!reply) return 'malformed';
    for (const trunk of this.trunkOf.values()) {
      if (trunk.link.answersTo(reply.echo)) return trunk.link.receiveCookie(reply.echo, reply.cookie, nowMs);
    }
    return 'stale';
  }

  /** Anyone can say so: it only makes us ask the peer itself, which the link does at its own pace. */
  private receiveUnknownSession(datagram: Buffer, from: PeerAddress, nowMs: number): EndpointDropReason | undefined {
    const remoteIndex = wire.decodeUnknownSession(datagram)?.remoteIndex;
    for (const trunk of this.trunkOf.values()) {
      const { session, address } = trunk.link;
      if (session?.remoteIndex !== remoteIndex || address?.address !== from.address || address.port !== from.port) continue;
      trunk.link.begin(nowMs);
      this.dirty.add(trunk);
      return undefined;
    }
    return 'stale';
  }

  private refuse(datagram: Buffer, from: PeerAddress, nowMs: number): EndpointDropReason {
    const isInitiation = datagram[1] === wire.DatagramType.initiation && datagram.length >= 24;
    if (isInitiation && this.replies.take(nowMs)) this.send(wire.encodeRefusal(datagram), from);
    return 'version';
  }

  private receiveRefusal(datagram: Buffer): EndpointDropReason {
    const refusal = wire.decodeRefusal(datagram);
    for (const trunk of this.trunkOf.values()) {
      if (refusal && trunk.link.answersTo(refusal.echo)) trunk.refusedBy = { lowest: refusal.lowest, highest: refusal.highest };
    }
    return 'version';
  }

  private resolve(trunk: Trunk, peer: { host: string; port: number }): void {
    this.targets.set(trunk, peer);
    this.io.resolve(peer.host).then(
      (address) => this.aim(trunk, { address, port: peer.port }),
      () => {
        this.count('unresolved');
        this.clock
          .setTimeout(() => {
            if (!this.closed && trunk.state !== 'closed' && this.targets.get(trunk) === peer) this.resolve(trunk, peer);
          }, RESOLVE_AGAIN_MS)
          .unref();
      },
    );
  }

  private aim(trunk: Trunk, address: PeerAddress): void {
    if (this.closed || trunk.state === 'closed' || trunk.state === 'up') return;
    trunk.link.aim(address, this.now());
    this.touch(trunk);
  }

  private addTrunk(peer: string): Trunk {
    const trunk = new Trunk(this, peer);
    this.trunkOf.set(peer, trunk);
    this.trunkOfLink.set(trunk.link, trunk);
    trunk.once('closed', () => this.removeTrunk(trunk));
    return trunk;
  }

  private removeTrunk(trunk: Trunk): void {
    this.heap.set(trunk, Infinity);
    this.dirty.delete(trunk);
    this.trunkOf.delete(trunk.peer);
    this.trunkOfLink.delete(trunk.link);
  }

  /** Emits 'trunk' the first time: before the trunk's own 'up', so that whoever attaches handlers hears that too. */
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
    // A trunk that has more to do at once still lets the others go first.
    this.heap.set(trunk, Math.max(trunk.flush(nowMs), nowMs + 0.1));
  }

  private arm(nowMs: number): void {
    const dueMs = this.heap.first?.dueMs ?? Infinity;
    if (dueMs >= this.timerDueMs) return;
    this.clock.clearTimeout(this.timer);
    this.timerDueMs = dueMs;
    this.timer = this.clock.setTimeout(this.onTimer, Math.max(0, dueMs - nowMs));
  }

  private readonly onTimer = (): void => {
    const nowMs = this.now();
    this.noteStall(nowMs);
    this.timer = undefined;
    this.timerDueMs = Infinity;
    this.turn();
  };

  /** A timer that is long overdue tells that this process was held up, whoever gets to run first afterwards. */
  private noteStall(nowMs: number): void {
    if (nowMs - this.timerDueMs > STALL_MS) this.judgeAfterMs = nowMs + CATCH_UP_MS;
  }

  /** Forgets trunks that nobody here asked for and nobody there keeps. */
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
