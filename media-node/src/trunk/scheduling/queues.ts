import type { SendConversation } from '../arq/sender.ts';
import { PacketQueue } from './packet-queue.ts';

/** Media classes, most urgent first. Control precedes all of them; retransmissions come between audio and video. */
export type Priority = 'audio' | 'videoBase' | 'video' | 'probe';

const RANK: Record<Priority, number> = { audio: 0, videoBase: 1, video: 2, probe: 3 };
const CLASSES = 4;
/** Retransmissions precede this rank. */
export const RETRANSMISSION_RANK = RANK.videoBase;
/** Frames that other frames depend on. */
const BASE = RANK.videoBase;
const ALONE = -1;

const MAX_QUEUED_RETRANSMISSIONS = 8192;

export interface QueuedMedia {
  priority: Priority;
  conversation: number;
  payload: Buffer;
  deadlineMs: number;
  /** Payloads of one chain depend on one another. The sender chooses the number. */
  chain?: number;
  /** The chain starts anew with this payload, as with a keyframe. */
  starts?: boolean;
}

export interface QueueCounters {
  /** Dropped past their deadline, by class. */
  overdue: Record<Priority, number>;
  /** Evicted for something more urgent or newer, by class. */
  evicted: Record<Priority, number>;
  /** Refused, by class: a payload that they depend on was dropped, and their chain has not started anew since. */
  broken: Record<Priority, number>;
  /** All payloads pushed. */
  offered: number;
  /** Retransmissions that found their queue full; ARQ tries them again. */
  retransmissionsDeferred: number;
}

/**
 * Media send queues: strict priority, bounded in bytes. When full they evict the oldest payload of the least urgent class. Video is evicted by
 * chain: either everything up to the next keyframe in the queue goes, or the chain is broken and takes no more until its next keyframe. Frames
 * that cannot be decoded would otherwise take the room of frames that can.
 */
export class SendQueues {
  readonly counters: QueueCounters = {
    overdue: { audio: 0, videoBase: 0, video: 0, probe: 0 },
    evicted: { audio: 0, videoBase: 0, video: 0, probe: 0 },
    broken: { audio: 0, videoBase: 0, video: 0, probe: 0 },
    offered: 0,
    retransmissionsDeferred: 0,
  };
  /** May be changed at any time; the next push evicts the excess. */
  maxBytes: number;
  /** Chains that have started, so that a broken one can start anew. */
  private readonly begun = new Set<number>();
  private readonly broken = new Set<number>();
  private readonly classes = Array.from({ length: CLASSES }, () => new PacketQueue());
  private readonly names: Priority[] = ['audio', 'videoBase', 'video', 'probe'];
  private bytes = 0;
  private retransmissions: { conversation: SendConversation; serial: number }[] = [];
  private retransmissionHead = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** The queue is above its high-water mark: optional media should wait. */
  get isCongested(): boolean {
    return this.bytes > this.maxBytes / 4;
  }

  get queuedBytes(): number {
    return this.bytes;
  }

  /** Queued payloads of all conversations. */
  get waiting(): number {
    return this.classes.reduce((sum, queue) => sum + queue.length, 0);
  }

  /** False when it was dropped at once. */
  push(item: QueuedMedia, nowMs: number): boolean {
    const { priority, conversation, payload, deadlineMs, chain = ALONE, starts = false } = item;
    const rank = RANK[priority];
    this.counters.offered++;
    if (chain !== ALONE && starts) {
      this.broken.delete(chain);
      this.begun.add(chain);
    }
    if (this.bytes + payload.length > this.maxBytes && !this.broken.has(chain) && !this.makeRoom(rank, payload.length, nowMs)) {
      this.counters.evicted[priority]++;
      if (rank === BASE) this.breakChain(chain);
      return false;
    }
    // Broken before, or by the eviction just now.
    if (this.broken.has(chain)) {
      this.counters.broken[priority]++;
      return false;
    }
    this.classes[rank]!.push(conversation, payload, deadlineMs, chain, starts);
    this.bytes += payload.length;
    return true;
  }

  /** Most urgent class that has a packet within its deadline, or -1. */
  firstClass(nowMs: number): number {
    if (this.bytes === 0) return -1;
    for (let rank = 0; rank < CLASSES; rank++) {
      this.dropOverdue(rank, nowMs);
      if (this.classes[rank]!.length > 0) return rank;
    }
    return -1;
  }

  peek(rank: number): PacketQueue {
    return this.classes[rank]!;
  }

  shift(rank: number): void {
    const queue = this.classes[rank]!;
    this.bytes -= queue.firstPayload.length;
    queue.shift();
  }

  pushRetransmission(conversation: SendConversation, serial: number): boolean {
    if (this.retransmissions.length - this.retransmissionHead >= MAX_QUEUED_RETRANSMISSIONS) {
      this.counters.retransmissionsDeferred++;
      return false;
    }
    this.retransmissions.push({ conversation, serial });
    return true;
  }

  /** The next queued retransmission that was not acknowledged meanwhile. */
  firstRetransmission(): { conversation: SendConversation; serial: number } | undefined {
    for (;;) {
      const next = this.retransmissions[this.retransmissionHead];
      if (!next) {
        this.retransmissions.length = this.retransmissionHead = 0;
        return undefined;
      }
      if (next.conversation.isOutstanding(next.serial)) return next;
      this.retransmissionHead++;
    }
  }

  shiftRetransmission(): void {
    this.retransmissionHead++;
  }

  clear(): void {
    for (let rank = 0; rank < CLASSES; rank++) while (this.classes[rank]!.length > 0) this.shift(rank);
    this.retransmissions.length = this.retransmissionHead = 0;
    this.begun.clear();
    this.broken.clear();
  }

  private makeRoom(rank: number, bytes: number, nowMs: number): boolean {
    for (let victim = CLASSES - 1; victim >= 0; victim--) this.dropOverdue(victim, nowMs);
    for (let victim = CLASSES - 1; victim >= rank; victim--) {
      while (this.bytes + bytes > this.maxBytes && this.classes[victim]!.length > 0) {
        if (!this.evictOldest(victim, this.counters.evicted, victim > rank)) break;
      }
    }
    return this.bytes + bytes <= this.maxBytes;
  }

  private dropOverdue(rank: number, nowMs: number): void {
    const queue = this.classes[rank]!;
    while (queue.length > 0 && queue.firstDeadlineMs <= nowMs) {
      this.evictOldest(rank, this.counters.overdue, true);
    }
  }

  /**
   * Drops the oldest payload of the class and all payloads that depend on it. Returns false, dropping nothing, when that would break the chain
   * and `mustGo` is false: then the new payload is refused instead. `mustGo`: the room is for a more urgent class.
   */
  private evictOldest(rank: number, count: Record<Priority, number>, mustGo: boolean): boolean {
    const queue = this.classes[rank]!;
    const chain = queue.firstChain;
    if (rank !== BASE || !this.begun.has(chain)) {
      count[this.names[rank]!]++;
      this.shift(rank);
      return true;
    }
    const start = queue.lastStart(chain);
    const goesOn = start > 0;
    if (!goesOn && !mustGo) return false;
    for (const each of [BASE, RANK.video]) {
      const dropped = this.classes[each]!;
      const before = dropped.bytes;
      count[this.names[each]!] += dropped.remove(chain, each === BASE && goesOn ? start : dropped.length);
      this.bytes -= before - dropped.bytes;
    }
    if (!goesOn) this.breakChain(chain);
    return true;
  }

  private breakChain(chain: number): void {
    if (this.begun.has(chain)) this.broken.add(chain);
  }

  /** Forgets chains that have ended. */
  forget(isOver: (chain: number) => boolean): void {
    for (const chain of this.begun) if (isOver(chain)) this.begun.delete(chain);
    for (const chain of this.broken) if (isOver(chain)) this.broken.delete(chain);
  }
}
