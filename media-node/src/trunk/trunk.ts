import { EventEmitter } from 'node:events';
import { MAX_MEDIA_PAYLOAD } from './arq/reassembly.ts';
import { Association } from './association.ts';
import type { PeerAddress } from './io/datagram.ts';
import type { TrunkKnobs } from './knobs.ts';
import type { Hello } from './link/hello.ts';
import { PeerLink, type LinkHost } from './link/peer-link.ts';
import { headerBytes } from './mtu/path-mtu.ts';
import type { Priority } from './scheduling/queues.ts';
import { type TrunkState, type TrunkStats, trunkStats, type TrunkTotals } from './stats.ts';

/** Control messages that wait beyond this are refused: the peer is not taking them. */
const MAX_WAITING_CONTROL_BYTES = 4 * 1024 * 1024;
const DEFAULT_DEADLINE_MS = 600;
/** Of one conversation. */
const CHAINS = 1024;
const WINDOW_FOR_RESENDS = 0.75;

export type LostReason = 'silent' | 'peerRestarted' | 'peerClosed';

export interface MediaSend {
  /** Chosen by the sender of the stream; 1 to 2^32-1; one for each stream and class; never used again until the trunk was lost. */
  conversation: number;
  priority: Priority;
  /**
   * Payloads of one chain build on one another, as those of a video layer do on its keyframe; 0 to 1023, within the conversation. When
   * something of it has to be dropped, all goes up to the next that `starts` it anew: it would be of no use.
   */
  chain?: number;
  starts?: boolean;
  /** After this the payload is of no use, ms from now. */
  deadlineMs?: number;
  /** At most MAX_MEDIA_PAYLOAD bytes; referred to until acknowledged or overdue, so not to be written to any more. */
  payload: Buffer;
}

interface TrunkEvents {
  up: [];
  lost: [LostReason];
  /** The peer speaks only other versions of the protocol. Not authenticated: for people to read. */
  refused: [{ lowest: number; highest: number }];
  closed: [];
}

/** What a trunk needs of its endpoint. */
export interface TrunkHost extends LinkHost {
  readonly knobs: TrunkKnobs;
  now(): number;
  /** Bytes of the largest datagram that leaves towards this address in one IP packet, as far as the node itself can tell. */
  maxDatagramTo(to: PeerAddress): number | Promise<number>;
  /** Asks for `flush` soon, after what is being done now. */
  touch(trunk: Trunk): void;
  /** Makes the trunk known to the endpoint's user, once. */
  announce(trunk: Trunk): void;
  /** Judgements wait until this time after the process itself was held up. */
  readonly judgeAfterMs: number;
}

/** One authenticated link with one peer. After 'lost' nothing of before is delivered any more; a new 'up' starts afresh. */
export class Trunk extends EventEmitter<TrunkEvents> {
  readonly peer: string;
  readonly link: PeerLink;
  state: TrunkState = 'connecting';
  /** Place in the endpoint's timer heap. */
  dueMs = Infinity;
  heapIndex = -1;
  onControl: (message: Buffer) => void = () => {};
  onMedia: (conversation: number, payload: Buffer) => void = () => {};
  /** Versions that the peer said it speaks, when it refused ours. */
  refusedBy: { lowest: number; highest: number } | undefined;
  /** When the state last changed, for the endpoint's housekeeping. */
  sinceMs: number;
  private readonly host: TrunkHost;
  /** The present one, or the one that was lost last. */
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

  /** Reliable and in order while the trunk is up. False when it is not, or when the peer has stopped taking messages. */
  sendControl(message: Buffer): boolean {
    const association = this.living;
    if (!association || association.arq.waitingControlBytes > MAX_WAITING_CONTROL_BYTES) return false;
    association.arq.queueControl(message);
    this.host.touch(this);
    return true;
  }

  /**
   * One payload, delivered at most once, at once, in any order. False when the trunk is not up, the payload is too large, or it was dropped
   * at once: no room, or what it builds on was dropped before (see `chain`).
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
   * How many segments of something older, such as a resend, a conversation takes now. A part of its window stays free for what is
   * live, since what finds the window full is dropped.
   */
  mediaRoom(conversation: number): number {
    const association = this.living;
    if (!association) return 0;
    const { segments, taken } = association.arq.mediaWindow(conversation);
    return Math.max(0, Math.floor(segments * WINDOW_FOR_RESENDS) - taken - association.outbox.queues.waiting);
  }

  /** Segments that a payload of so many bytes takes on this path. */
  segmentsOf(bytes: number): number {
    return this.living?.outbox.segmentsOf(bytes) ?? 1;
  }

  /** So much waits to be sent that what may come later should, such as a new keyframe for what was dropped. */
  get isCrowded(): boolean {
    return this.living?.outbox.queues.isCrowded ?? true;
  }

  /** No more will be sent on it, nor is any more wanted from it. */
  closeConversation(conversation: number): void {
    this.living?.arq.close(conversation);
    this.living?.outbox.queues.forget((chain) => Math.floor(chain / CHAINS) === conversation);
  }

  /** A trunk in use on either side carries something at least every heartbeat interval, so that its loss is noticed at once. */
  setInUse(inUse: boolean): void {
    this.inUse = inUse;
    this.living?.liveness.setInUse(inUse, this.host.now());
    if (this.living) this.host.touch(this);
  }

  stats(): TrunkStats {
    return trunkStats(this, this.totals, this.association);
  }

  /** Tells the peer and ends; nothing comes of this object any more. */
  close(): void {
    if (this.state === 'closed') return;
    this.living?.outbox.sendClose(this.host.now());
    this.association?.end();
    this.link.wanted = false;
    this.link.restart();
    this.state = 'closed';
    this.emit('closed');
  }

  applyKnobs(knobs: TrunkKnobs): void {
    this.living?.applyKnobs(knobs, this.host.now());
    this.host.touch(this);
  }

  /** A data datagram's plaintext. False when something in it could not be read; the rest counts. */
  receive(plaintext: Buffer, datagramBytes: number, nowMs: number): boolean {
    this.totals.received++;
    this.totals.receivedBytes += datagramBytes;
    const association = this.living;
    const before = association?.malformed;
    if (association && this.link.rebinds !== this.rebindsSeen) this.peerMoved(association, nowMs);
    association?.receive(plaintext, nowMs);
    return association?.malformed === before;
  }

  /** Told once for each change, however often the peer says so. */
  refuse(versions: { lowest: number; highest: number }): void {
    const before = this.refusedBy;
    this.refusedBy = versions;
    if (before?.lowest !== versions.lowest || before.highest !== versions.highest) this.emit('refused', versions);
  }

  /** Does what is due and sends what may go; returns when to come again. */
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
    // Whatever was in flight belongs to an association that the peer knows nothing of any more.
    if (this.living) this.noteLost('peerRestarted', nowMs);
    // Whoever heard of that may have closed the trunk.
    if (this.isClosed) return;
    this.association = new Association(hello, this.host.knobs, this.hooks, nowMs);
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
