import type { ReceiveConversation } from './receiver.ts';

/**
 * Decides when receiving conversations acknowledge: at once while a gap is open, so that the peer retransmits early, otherwise once in each
 * interval. Times and intervals are in ms.
 */
export class AcknowledgementScheduler {
  /** Each acknowledgement is sent twice. For lossy paths, where a lost acknowledgement would cause a spurious retransmission. */
  repeats = false;
  private pending: ReceiveConversation[] = [];
  private urgent = false;
  private dueMs = Infinity;
  private toRepeat = new Set<ReceiveConversation>();
  private repeatDueMs = Infinity;
  private writtenMs = -Infinity;

  add(conversation: ReceiveConversation, isControl: boolean, nowMs: number, intervalMs: number): void {
    if (!conversation.listed) {
      conversation.listed = true;
      this.pending.push(conversation);
      this.dueMs = Math.min(this.dueMs, nowMs + intervalMs);
    }
    this.urgent ||= conversation.hasGap || conversation.announceWindow || isControl;
  }

  /** The first arrival after a pause is acknowledged in the same turn: a later wake-up would cost more than the datagram. */
  areDue(nowMs: number, intervalMs: number): boolean {
    if (this.pending.length === 0) return false;
    return this.urgent || nowMs >= Math.min(this.dueMs, this.writtenMs + intervalMs);
  }

  /** Writes pending acknowledgements below `limit`; returns the offset behind them. Those that do not fit stay pending. */
  write(out: Buffer, offset: number, limit: number, nowMs: number, intervalMs: number): number {
    if (this.pending.length === 0) return offset;
    this.writtenMs = nowMs;
    const left: ReceiveConversation[] = [];
    for (const conversation of this.pending) {
      if (conversation.isForgotten) continue;
      if (this.repeats && conversation.pendingAcks > 0) this.toRepeat.add(conversation);
      offset = conversation.writeAcks(out, offset, limit);
      conversation.listed = conversation.pendingAcks > 0 || conversation.announceWindow;
      if (conversation.listed) left.push(conversation);
    }
    this.pending = left;
    this.urgent = left.length > 0;
    this.dueMs = Infinity;
    this.repeatDueMs = this.toRepeat.size > 0 ? nowMs + intervalMs : Infinity;
    return offset;
  }

  /** When there is something to write or to repeat; Infinity when there is nothing. */
  get nextDueMs(): number {
    return Math.min(this.dueMs, this.repeatDueMs);
  }

  /** Schedules the second copy of acknowledgements when it is due. */
  repeat(nowMs: number, intervalMs: number): void {
    if (nowMs < this.repeatDueMs) return;
    this.repeatDueMs = Infinity;
    for (const conversation of this.toRepeat) {
      conversation.announceWindow = true;
      this.add(conversation, false, nowMs, intervalMs);
    }
    this.toRepeat.clear();
  }

  remove(conversation: ReceiveConversation): void {
    this.toRepeat.delete(conversation);
    this.pending = this.pending.filter((other) => other !== conversation);
  }
}
