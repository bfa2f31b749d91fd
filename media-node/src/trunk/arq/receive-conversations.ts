import { ReceiveConversation } from './receiver.ts';
import { CONTROL_CONVERSATION } from './segment.ts';

const MAX_CONVERSATIONS = 4096;
/** How many conversations are compared when one is evicted. */
const MAX_EVICTION_CANDIDATES = 8;
const FORGET_AFTER_MS = 60_000;

/** Receiving halves by number: created on the first segment, bounded, and removed when idle. */
export class ReceiveConversations {
  private readonly byId = new Map<number, ReceiveConversation>();

  find(id: number): ReceiveConversation | undefined {
    return this.byId.get(id);
  }

  values(): Iterable<ReceiveConversation> {
    return this.byId.values();
  }

  /** The conversation, created with `window` (segments) if there is none. */
  at(id: number, window: number, nowMs: number): ReceiveConversation {
    return this.byId.get(id) ?? this.begin(id, window, nowMs);
  }

  /** Removes and returns it. */
  remove(id: number): ReceiveConversation | undefined {
    const conversation = this.byId.get(id);
    this.byId.delete(id);
    return conversation;
  }

  tidy(nowMs: number): void {
    for (const { id, lastArrivalMs } of this.byId.values()) {
      if (nowMs - lastArrivalMs > FORGET_AFTER_MS && id !== CONTROL_CONVERSATION) this.byId.delete(id);
    }
  }

  private begin(id: number, window: number, nowMs: number): ReceiveConversation {
    if (this.byId.size >= MAX_CONVERSATIONS) this.forgetMostIdle();
    const conversation = new ReceiveConversation(id, window, id === CONTROL_CONVERSATION, nowMs);
    this.byId.set(id, conversation);
    return conversation;
  }

  /** Evicts the most idle of a few candidates, in rotation: a scan of all for each new one would let a peer cause unbounded work. */
  private forgetMostIdle(): void {
    const looked: ReceiveConversation[] = [];
    for (const conversation of this.byId.values()) {
      looked.push(conversation);
      if (looked.length === MAX_EVICTION_CANDIDATES) break;
    }
    const media = looked.filter(({ id }) => id !== CONTROL_CONVERSATION);
    const mostIdle = media.reduce((a, b) => (b.lastArrivalMs < a.lastArrivalMs ? b : a));
    for (const conversation of looked) {
      this.byId.delete(conversation.id);
      // Only the receiving half is removed: the sending half continues its serials.
      if (conversation !== mostIdle) this.byId.set(conversation.id, conversation);
    }
    mostIdle.isForgotten = true;
  }
}
