import type { ReceiveConversation } from './receiver.ts';

/** Fragments are numbered down in one byte. */
const MAX_FRAGMENTS = 255;

interface ControlFragment {
  payload: Buffer;
  /** How many follow. */
  fragment: number;
}

/** Control messages that wait for their first sending, in fragments. */
export class ControlQueue {
  /** Of those that wait. */
  bytes = 0;
  private readonly waiting: ControlFragment[] = [];
  private readonly maxPayload: number;

  constructor(maxPayload: number) {
    this.maxPayload = maxPayload;
  }

  get first(): ControlFragment | undefined {
    return this.waiting[0];
  }

  /** Throws a RangeError when the message is longer than 255 fragments. */
  push(message: Buffer): void {
    const count = Math.max(1, Math.ceil(message.length / this.maxPayload));
    if (count > MAX_FRAGMENTS) {
      throw new RangeError(`control message of ${message.length} bytes: at most ${MAX_FRAGMENTS * this.maxPayload} fit`);
    }
    for (let i = 0; i < count; i++) {
      const payload = message.subarray(i * this.maxPayload, (i + 1) * this.maxPayload);
      this.waiting.push({ payload, fragment: count - 1 - i });
    }
    this.bytes += message.length;
  }

  /** Only where there is a first. */
  shift(): ControlFragment {
    const first = this.waiting.shift()!;
    this.bytes -= first.payload.length;
    return first;
  }
}

/** Puts the peer's control messages together again. */
export class ControlAssembly {
  private fragments: Buffer[] = [];
  private readonly onMessage: (message: Buffer) => void;

  constructor(onMessage: (message: Buffer) => void) {
    this.onMessage = onMessage;
  }

  /** Takes what has come in order. */
  drain(conversation: ReceiveConversation): void {
    for (let segment = conversation.takeNext(); segment; segment = conversation.takeNext()) {
      this.fragments.push(segment.payload);
      if (segment.fragment > 0 && this.fragments.length < MAX_FRAGMENTS) continue;
      const message = this.fragments.length === 1 ? this.fragments[0]! : Buffer.concat(this.fragments);
      this.fragments = [];
      this.onMessage(message);
    }
  }
}
