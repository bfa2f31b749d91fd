import { ReceiveConversation } from './receiver.ts';
import { CONTROL_CONVERSATION } from './segment.ts';

const MAX_CONVERSATIONS = 4096;
/** Candidates when one has to go. */
const LOOK_AT = 8;
const FORGET_AFTER_MS = 60_000;

/** Receiving halves by number: made when something comes, bounded, forgotten when nothing does. */
export class ReceiveConversations {
  private readonly byId = new Map<number, ReceiveConversation>();

  find(id: number): ReceiveConversation | undefined {
    return this.byId.get(id);
  }

  values(): Iterable<ReceiveConversation> {
    return this.byId.values();
  }

  /** `window`: of one that begins now. */
  at(id: number, window: number, nowMs: number): ReceiveConversation {
    return this.byId.get(id) ?? this.begin(id, window, nowMs);
  }

  /** Takes it out. */
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
    if (this.byId.size >= MAX_CONVERSATIONS) this.forgetIdlest();
    const conversation = new ReceiveConversation(id, window, id === CONTROL_CONVERSATION, nowMs);
    this.byId.set(id, conversation);
    return conversation;
  }

  /** Of the few that were looked at longest ago, the idlest goes: looking at all for each new one would let a peer make this node work. */
  private forgetIdlest(): void {
    const looked: ReceiveConversation[] = [];
    for (const conversation of this.byId.values()) {
      looked.push(conversation);
      if (looked.length === LOOK_AT) break;
    }
    const media = looked.filter(({ id }) => id !== CONTROL_CONVERSATION);
    const idlest = media.reduce((a, b) => (b.lastArrivalMs < a.lastArrivalMs ? b : a));
    for (const conversation of looked) {
      this.byId.delete(conversation.id);
      // Only this half goes: the other one's serials go on.
      if (conversation !== idlest) this.byId.set(conversation.id, conversation);
    }
    idlest.isForgotten = true;
  }
}
