import type { ReceiveConversation } from './receiver.ts';

/** What receiving conversations have to tell their peer, and when: at once while a gap is open (so that it resends), else once in an interval. */
export class Tellings {
  /** Told once more, since so many datagrams are lost that each loss would have something sent again for nothing. */
  repeats = false;
  private telling: ReceiveConversation[] = [];
  private urgent = false;
  private dueMs = Infinity;
  private told = new Set<ReceiveConversation>();
  private repeatDueMs = Infinity;
  private toldMs = -Infinity;

  add(conversation: ReceiveConversation, isControl: boolean, nowMs: number, intervalMs: number): void {
    if (!conversation.listed) {
      conversation.listed = true;
      this.telling.push(conversation);
      this.dueMs = Math.min(this.dueMs, nowMs + intervalMs);
    }
    this.urgent ||= conversation.hasGap || conversation.tellWindow || isControl;
  }

  /** What comes after a pause is told with it, in the same turn: waking up later only for that would cost more than the datagram. */
  areDue(nowMs: number, intervalMs: number): boolean {
    if (this.telling.length === 0) return false;
    return this.urgent || nowMs >= Math.min(this.dueMs, this.toldMs + intervalMs);
  }

  /** Writes pending acknowledgements below `limit`; returns the offset behind them. What does not fit stays. */
  write(out: Buffer, offset: number, limit: number, nowMs: number, intervalMs: number): number {
    if (this.telling.length === 0) return offset;
    this.toldMs = nowMs;
    const left: ReceiveConversation[] = [];
    for (const conversation of this.telling) {
      if (conversation.isForgotten) continue;
      if (this.repeats && conversation.pendingAcks > 0) this.told.add(conversation);
      offset = conversation.writeAcks(out, offset, limit);
      conversation.listed = conversation.pendingAcks > 0 || conversation.tellWindow;
      if (conversation.listed) left.push(conversation);
    }
    this.telling = left;
    this.urgent = left.length > 0;
    this.dueMs = Infinity;
    this.repeatDueMs = this.told.size > 0 ? nowMs + intervalMs : Infinity;
    return offset;
  }

  /** When there is something to write, or to repeat. */
  get nextDueMs(): number {
    return Math.min(this.dueMs, this.repeatDueMs);
  }

  /** Lists those again whose acknowledgements are told once more, where that is due. */
  repeat(nowMs: number, intervalMs: number): void {
    if (nowMs < this.repeatDueMs) return;
    this.repeatDueMs = Infinity;
    for (const conversation of this.told) {
      conversation.tellWindow = true;
      this.add(conversation, false, nowMs, intervalMs);
    }
    this.told.clear();
  }

  remove(conversation: ReceiveConversation): void {
    this.told.delete(conversation);
    this.telling = this.telling.filter((other) => other !== conversation);
  }
}
