import type { SendConversation } from '../arq/sender.ts';
import { PacketQueue } from './packet-queue.ts';

/** Media classes, most urgent first. Control goes before all; resends between audio and video. */
export type Priority = 'audio' | 'videoBase' | 'video' | 'probe';

const RANK: Record<Priority, number> = { audio: 0, videoBase: 1, video: 2, probe: 3 };
const CLASSES = 4;
/** Resends go before this rank. */
export const RESENDS_BEFORE = RANK.videoBase;
/** What others build on. */
const BASE = RANK.videoBase;
const ALONE = -1;

const MAX_RESENDS = 8192;

export interface QueuedMedia {
  priority: Priority;
  conversation: number;
  payload: Buffer;
  deadlineMs: number;
  /** Payloads of a chain build on one another; any number of the sender's choice. */
  chain?: number;
  /** The chain begins anew with this one. */
  starts?: boolean;
}

export interface QueueCounters {
  /** Waited past their deadline, by class. */
  overdue: Record<Priority, number>;
  /** Made room for something more urgent or newer, by class. */
  crowdedOut: Record<Priority, number>;
  /** Not let in, by class: they build on something that was dropped, and nothing to begin anew with has come since. */
  broken: Record<Priority, number>;
  /** All that came. */
  offered: number;
  /** Too many waited already; tried again later. */
  resendsPutOff: number;
}

/**
 * Media that waits for its turn: strict priority, bounded in bytes; what gives way is the least urgent, and of that the oldest. Where one
 * thing builds on another (video's base on its keyframe) either all up to a later beginning gives way, or nothing more is taken until the
 * next one: half of a picture, or one whose predecessor is gone, would take the room of what can be shown.
 */
export class SendQueues {
  readonly counters: QueueCounters = {
    overdue: { audio: 0, videoBase: 0, video: 0, probe: 0 },
    crowdedOut: { audio: 0, videoBase: 0, video: 0, probe: 0 },
    broken: { audio: 0, videoBase: 0, video: 0, probe: 0 },
    offered: 0,
    resendsPutOff: 0,
  };
  /** May be changed at any time; what waits beyond it makes room with the next push. */
  maxBytes: number;
  /** Chains that have begun, so that a break can be mended by beginning anew. */
  private readonly begun = new Set<number>();
  private readonly broken = new Set<number>();
  private readonly classes = Array.from({ length: CLASSES }, () => new PacketQueue());
  private readonly names: Priority[] = ['audio', 'videoBase', 'video', 'probe'];
  private bytes = 0;
  private resends: { conversation: SendConversation; serial: number }[] = [];
  private resendHead = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** More waits than goes in a moment: what could be left for later is better not added. */
  get isCrowded(): boolean {
    return this.bytes > this.maxBytes / 4;
  }

  get queuedBytes(): number {
    return this.bytes;
  }

  /** Payloads that wait, of all conversations. */
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
      this.counters.crowdedOut[priority]++;
      if (rank === BASE) this.breakOff(chain);
      return false;
    }
    // Broken before, or by making room just now.
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

  pushResend(conversation: SendConversation, serial: number): boolean {
    if (this.resends.length - this.resendHead >= MAX_RESENDS) {
      this.counters.resendsPutOff++;
      return false;
    }
    this.resends.push({ conversation, serial });
    return true;
  }

  /** Next segment to send again that was not acknowledged meanwhile. */
  firstResend(): { conversation: SendConversation; serial: number } | undefined {
    for (;;) {
      const next = this.resends[this.resendHead];
      if (!next) {
        this.resends.length = this.resendHead = 0;
        return undefined;
      }
      if (next.conversation.isOutstanding(next.serial)) return next;
      this.resendHead++;
    }
  }

  shiftResend(): void {
    this.resendHead++;
  }

  clear(): void {
    for (let rank = 0; rank < CLASSES; rank++) while (this.classes[rank]!.length > 0) this.shift(rank);
    this.resends.length = this.resendHead = 0;
    this.begun.clear();
    this.broken.clear();
  }

  private makeRoom(rank: number, bytes: number, nowMs: number): boolean {
    for (let victim = CLASSES - 1; victim >= 0; victim--) this.dropOverdue(victim, nowMs);
    for (let victim = CLASSES - 1; victim >= rank; victim--) {
      while (this.bytes + bytes > this.maxBytes && this.classes[victim]!.length > 0) {
        if (!this.giveWay(victim, this.counters.crowdedOut, victim > rank)) break;
      }
    }
    return this.bytes + bytes <= this.maxBytes;
  }

  private dropOverdue(rank: number, nowMs: number): void {
    const queue = this.classes[rank]!;
    while (queue.length > 0 && queue.firstDeadlineMs <= nowMs) {
      this.giveWay(rank, this.counters.overdue, true);
    }
  }

  /**
   * Drops the oldest of the class; of what builds on one another, all that is of no use without it. False when nothing was: `mustGo` is for
   * something more urgent, else a chain that would end with it stays, and ends with its newest.
   */
  private giveWay(rank: number, count: Record<Priority, number>, mustGo: boolean): boolean {
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
    if (!goesOn) this.breakOff(chain);
    return true;
  }

  private breakOff(chain: number): void {
    if (this.begun.has(chain)) this.broken.add(chain);
  }

  /** Chains that are over. */
  forget(isOver: (chain: number) => boolean): void {
    for (const chain of this.begun) if (isOver(chain)) this.begun.delete(chain);
    for (const chain of this.broken) if (isOver(chain)) this.broken.delete(chain);
  }
}
