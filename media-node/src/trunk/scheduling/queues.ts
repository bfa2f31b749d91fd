import type { SendConversation } from '../arq/sender.ts';

/** Media classes, most urgent first. Control goes before all; resends between audio and video. */
export type Priority = 'audio' | 'videoBase' | 'video' | 'probe';

const RANK: Record<Priority, number> = { audio: 0, videoBase: 1, video: 2, probe: 3 };
const CLASSES = 4;
/** Resends go before this rank. */
export const RESENDS_BEFORE = RANK.videoBase;

const MAX_RESENDS = 8192;

/** First in, first out, as arrays by field with a moving head: no object for a packet. */
class PacketQueue {
  bytes = 0;
  private conversations: number[] = [];
  private payloads: Buffer[] = [];
  private deadlines: number[] = [];
  private head = 0;

  get length(): number {
    return this.payloads.length - this.head;
  }

  get firstPayload(): Buffer {
    return this.payloads[this.head]!;
  }

  get firstConversation(): number {
    return this.conversations[this.head]!;
  }

  get firstDeadlineMs(): number {
    return this.deadlines[this.head]!;
  }

  push(conversation: number, payload: Buffer, deadlineMs: number): void {
    this.conversations.push(conversation);
    this.payloads.push(payload);
    this.deadlines.push(deadlineMs);
    this.bytes += payload.length;
  }

  shift(): void {
    this.bytes -= this.payloads[this.head]!.length;
    this.head++;
    if (this.head === this.payloads.length) {
      this.conversations.length = this.payloads.length = this.deadlines.length = this.head = 0;
    } else if (this.head >= 1024 && this.head * 2 > this.payloads.length) {
      this.conversations.splice(0, this.head);
      this.payloads.splice(0, this.head);
      this.deadlines.splice(0, this.head);
      this.head = 0;
    }
  }
}

export interface QueueCounters {
  /** Waited past their deadline, by class. */
  overdue: Record<Priority, number>;
  /** Made room for something more urgent or newer, by class. */
  crowdedOut: Record<Priority, number>;
  /** Too many waited already; tried again later. */
  resendsPutOff: number;
}

/** Media that waits for its turn: strict priority, bounded in bytes; what gives way is the least urgent, and of that the oldest. */
export class SendQueues {
  readonly counters: QueueCounters = {
    overdue: { audio: 0, videoBase: 0, video: 0, probe: 0 },
    crowdedOut: { audio: 0, videoBase: 0, video: 0, probe: 0 },
    resendsPutOff: 0,
  };
  private readonly maxBytes: number;
  private readonly classes = Array.from({ length: CLASSES }, () => new PacketQueue());
  private readonly names: Priority[] = ['audio', 'videoBase', 'video', 'probe'];
  private bytes = 0;
  private resends: { conversation: SendConversation; serial: number }[] = [];
  private resendHead = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  get queuedBytes(): number {
    return this.bytes;
  }

  /** Payloads that wait, of all conversations. */
  get waiting(): number {
    return this.classes.reduce((sum, queue) => sum + queue.length, 0);
  }

  push(priority: Priority, conversation: number, payload: Buffer, deadlineMs: number, nowMs: number): void {
    const rank = RANK[priority];
    if (this.bytes + payload.length > this.maxBytes && !this.makeRoom(rank, payload.length, nowMs)) {
      this.counters.crowdedOut[priority]++;
      return;
    }
    this.classes[rank]!.push(conversation, payload, deadlineMs);
    this.bytes += payload.length;
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
  }

  private makeRoom(rank: number, bytes: number, nowMs: number): boolean {
    for (let victim = CLASSES - 1; victim >= 0; victim--) this.dropOverdue(victim, nowMs);
    for (let victim = CLASSES - 1; victim >= rank; victim--) {
      while (this.bytes + bytes > this.maxBytes && this.classes[victim]!.length > 0) {
        this.counters.crowdedOut[this.names[victim]!]++;
        this.shift(victim);
      }
    }
    return this.bytes + bytes <= this.maxBytes;
  }

  private dropOverdue(rank: number, nowMs: number): void {
    const queue = this.classes[rank]!;
    while (queue.length > 0 && queue.firstDeadlineMs <= nowMs) {
      this.counters.overdue[this.names[rank]!]++;
      this.shift(rank);
    }
  }
}
