import { EventEmitter } from 'node:events';
import { MAX_MEDIA_PAYLOAD } from './arq/reassembly.ts';
import { Association } from './association.ts';
import type { PeerAddress } from './io/datagram.ts';
import type { TrunkSettings } from './settings.ts';
import type { Hello } from './link/hello.ts';
import { PeerLink, type LinkHost } from './link/peer-link.ts';
import { headerBytes } from './mtu/path-mtu.ts';
import type { Priority } from './scheduling/queues.ts';
import { type TrunkState, type TrunkStats, trunkStats, type TrunkTotals } from './stats.ts';

/** Above this backlog new control messages are refused: the peer does not acknowledge. */
const MAX_WAITING_CONTROL_BYTES = 4 * 1024 * 1024;
const DEFAULT_DEADLINE_MS = 600;
/** Chains of one conversation. */
const CHAINS = 1024;
const RETRANSMISSION_WINDOW_SHARE = 0.75;

export type LostReason = 'silent' | 'peerRestarted' | 'peerClosed';

export interface MediaSend {
  /** Chosen by the sender, 1 to 2^32-1, one for each stream and class. Not reused before the trunk is lost. */
  conversation: number;
  priority: Priority;
  /**
   * Payloads of one chain depend on one another, as the frames of a video layer depend on its keyframe; 0 to 1023 within the conversation.
   * When one payload is dropped, so are all that follow up to the next one with `starts`, since they could not be decoded.
   */
  chain?: number;
  starts?: boolean;
  /** The payload is dropped when it was not delivered within this time, ms from now. */
  deadlineMs?: number;
  /** At most MAX_MEDIA_PAYLOAD bytes. Not copied: the caller must not write to it any more. */
  payload: Buffer;
}

interface TrunkEvents {
  up: [];
  lost: [LostReason];
  /** The peer speaks only other versions of the protocol. Not authenticated, so for the log only. */
  refused: [{ lowest: number; highest: number }];
  /** None of the peer's hosts has an address of a family that this node sends to. */
  unreachable: [hosts: readonly string[]];
  closed: [];
}

/** What a trunk needs from its endpoint. */
export interface TrunkHost extends LinkHost {
  readonly settings: TrunkSettings;
  now(): number;
  /** Size of the largest datagram, bytes, that the local interface sends to this address without IP fragmentation. */
  maxDatagramTo(to: PeerAddress): number | Promise<number>;
  /** Schedules a call of `flush` in this turn of the event loop. */
  touch(trunk: Trunk): void;
  /** Emits 'trunk' to the endpoint's user, once. */
  announce(trunk: Trunk): void;
  /** After a stall of this process, no trunk is declared lost before this time, ms. */
  readonly judgeAfterMs: number;
}

/** One authenticated link with one peer. After 'lost' no earlier data is delivered any more; the next 'up' starts a new association. */
export class Trunk extends EventEmitter<TrunkEvents> {
  readonly peer: string;
  readonly link: PeerLink;
  state: TrunkState = 'connecting';
  /** Due time, ms, and index in the endpoint's timer heap. */
  dueMs = Infinity;
  heapIndex = -1;
  onControl: (message: Buffer) => void = () => {};
  onMedia: (conversation: number, payload: Buffer) => void = () => {};
  /** Versions that the peer said it speaks, when it refused ours. */
  refusedBy: { lowest: number; highest: number } | undefined;
  private isUnreachable = false;
  /** When the state last changed, for the endpoint's housekeeping. */
  sinceMs: number;
  private readonly host: TrunkHost;
  /** The current association, or the last one that was lost. */
  private association: Association | undefined;
  private inUse = false;
  private rebindsSeen = 0;
  private readonly totals: TrunkTotals = { sentBytes: 0, receivedBytes: 0, sent: 0, received: 0, lost: 0, oversize: 0 };

  constructor(host: TrunkHost, peer: string) {
    super();
    this.host = host;
    this.peer = peer;
    this.sinceMs = host.now();
    this.link = new PeerLink(host, peer, this.sinceMs, (hello, fresh, nowMs) => this.established(hello, fresh, nowMs));
  }

  /** Sends reliably and in order while the trunk is up. False when it is not up, or when too much is unacknowledged. */
  sendControl(message: Buffer): boolean {
    const association = this.living;
    if (!association || association.arq.waitingControlBytes > MAX_WAITING_CONTROL_BYTES) return false;
    association.arq.queueControl(message);
    this.host.touch(this);
    return true;
  }

  /**
   * Sends one payload: delivered at most once, without waiting for earlier ones. False when the trunk is not up, the payload is too large,
   * or it was dropped at once: the queue is full, or a payload that it depends on was dropped (see `chain`).
   */
  sendMedia(send: MediaSend): boolean {
    const association = this.living;
    if (!association) return false;
    if (send.conversation < 1 || send.conversation > 0xffff_ffff) {
      throw new RangeError(`conversation ${send.conversation}: must be 1 to 2^32-1 (0 is the trunk's own)`);
    }
    if (send.payload.length > MAX_MEDIA_PAYLOAD) {
      this.totals.oversize++;
      return false;
    }
    const nowMs = this.host.now();
    const { priority, conversation, payload, chain, starts } = send;
    const deadlineMs = nowMs + (send.deadlineMs ?? DEFAULT_DEADLINE_MS);
    const chainOfTrunk = chain === undefined ? undefined : conversation * CHAINS + chain;
    const taken = association.outbox.queues.push(
      { priority, conversation, payload, deadlineMs, chain: chainOfTrunk, starts },
      nowMs,
    );
    this.host.touch(this);
    return taken;
  }

  /**
   * How many segments of older media, such as a replay from the ring, fit into the conversation's window now. Part of the window is reserved
   * for live media, which is dropped when the window is full.
   */
  mediaRoom(conversation: number): number {
    const association = this.living;
    if (!association) return 0;
    const { segments, taken } = association.arq.mediaWindow(conversation);
    return Math.max(0, Math.floor(segments * RETRANSMISSION_WINDOW_SHARE) - taken - association.outbox.queues.waiting);
  }

  /** Number of segments that a payload of this many bytes takes at the path's MTU. */
  segmentsOf(bytes: number): number {
    return this.living?.outbox.segmentsOf(bytes) ?? 1;
  }

  /** The send queue is above its high-water mark: optional media, such as a replacement keyframe, should wait. */
  get isCongested(): boolean {
    return this.living?.outbox.queues.isCongested ?? true;
  }

  /** Ends a conversation in both directions. */
  closeConversation(conversation: number): void {
    this.living?.arq.close(conversation);
    this.living?.outbox.queues.forget((chain) => Math.floor(chain / CHAINS) === conversation);
  }

  /** While either side has the trunk in use, both send at least one datagram per heartbeat interval, so that they detect its loss quickly. */
  setInUse(inUse: boolean): void {
    this.inUse = inUse;
    this.living?.liveness.setInUse(inUse, this.host.now());
    if (this.living) this.host.touch(this);
  }

  stats(): TrunkStats {
    return trunkStats(this, this.totals, this.association);
  }

  /** Notifies the peer and closes the trunk for good. */
  close(): void {
    if (this.state === 'closed') return;
    this.living?.outbox.sendClose(this.host.now());
    this.association?.end();
    this.link.wanted = false;
    this.link.restart();
    this.state = 'closed';
    this.emit('closed');
  }

  applySettings(settings: TrunkSettings): void {
    this.living?.applySettings(settings, this.host.now());
    this.host.touch(this);
  }

  /** Takes a data datagram's plaintext. False when part of it was malformed; the rest is processed. */
  receive(plaintext: Buffer, datagramBytes: number, nowMs: number): boolean {
    this.totals.received++;
    this.totals.receivedBytes += datagramBytes;
    const association = this.living;
    const before = association?.malformed;
    if (association && this.link.rebinds !== this.rebindsSeen) this.peerMoved(association, nowMs);
    association?.receive(plaintext, nowMs);
    return association?.malformed === before;
  }

  /** The addresses found for the peer's hosts. Emits 'unreachable' when there are none, once until there are some. */
  resolved(hosts: readonly string[], addressCount: number): void {
    if (addressCount === 0 && !this.isUnreachable) this.emit('unreachable', hosts);
    this.isUnreachable = addressCount === 0;
  }

  /** Emits 'refused' once for each change, however often the peer repeats it. */
  refuse(versions: { lowest: number; highest: number }): void {
    const before = this.refusedBy;
    this.refusedBy = versions;
    if (before?.lowest !== versions.lowest || before.highest !== versions.highest) this.emit('refused', versions);
  }

  /** Handles due timers and sends what the pacer allows; returns when to call again, ms. */
  flush(nowMs: number): number {
    const linkDueMs = this.link.service(nowMs);
    const association = this.living;
    if (!association) return linkDueMs;
    const lostMs = association.liveness.lostDueMs();
    const heldUp = nowMs < this.host.judgeAfterMs;
    if (!heldUp && nowMs >= lostMs) {
      this.lose('silent', nowMs);
      return this.link.service(nowMs);
    }
    const verdictMs = Math.max(lostMs, this.host.judgeAfterMs, nowMs + 1);
    return Math.min(linkDueMs, association.flush(nowMs, heldUp), verdictMs);
  }

  private get isClosed(): boolean {
    return this.state === 'closed';
  }

  private get living(): Association | undefined {
    return this.state === 'up' ? this.association : undefined;
  }

  private established(hello: Hello, fresh: boolean, nowMs: number): void {
    if (!fresh) return;
    // The peer has lost the state of the old association, so segments in flight are void.
    if (this.living) this.noteLost('peerRestarted', nowMs);
    // A listener of 'lost' may have closed the trunk.
    if (this.isClosed) return;
    this.association = new Association(hello, this.host.settings, this.hooks, nowMs);
    this.association.liveness.setInUse(this.inUse, nowMs);
    this.state = 'up';
    this.sinceMs = nowMs;
    this.rebindsSeen = this.link.rebinds;
    this.searchMtu(this.association);
    this.host.touch(this);
    this.host.announce(this);
    this.emit('up');
  }

  private peerMoved(association: Association, nowMs: number): void {
    this.rebindsSeen = this.link.rebinds;
    association.mtu.moved(nowMs);
  }

  private searchMtu(association: Association): void {
    const to = this.link.address!;
    const begin = (maxDatagram: number): void => {
      if (this.living !== association) return;
      association.beginMtuSearch(maxDatagram, headerBytes(to.address), this.host.now());
      this.host.touch(this);
    };
    const known = this.host.maxDatagramTo(to);
    if (typeof known === 'number') begin(known);
    else void known.then(begin);
  }

  private lose(reason: LostReason, nowMs: number): void {
    this.link.restart();
    this.noteLost(reason, nowMs);
  }

  private noteLost(reason: LostReason, nowMs: number): void {
    this.association?.end();
    this.totals.lost++;
    this.state = 'lost';
    this.sinceMs = nowMs;
    this.emit('lost', reason);
  }

  private readonly hooks = {
    onMedia: (conversation: number, payload: Buffer): void => this.onMedia(conversation, payload),
    onControl: (message: Buffer): void => this.onControl(message),
    onClose: (): void => this.lose('peerClosed', this.host.now()),
    arrivals: (): { expected: number; received: number } => this.link,
    transmit: (plaintext: Buffer): number => this.transmit(plaintext),
    isHeldUp: (nowMs: number): boolean => nowMs < this.host.judgeAfterMs,
  };

  private transmit(plaintext: Buffer): number {
    const datagram = this.link.seal(plaintext);
    const to: PeerAddress | undefined = this.link.address;
    if (!datagram || !to) return 0;
    this.totals.sent++;
    this.totals.sentBytes += datagram.length;
    this.host.send(datagram, to);
    return datagram.length;
  }
}
