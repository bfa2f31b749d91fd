import type { ReceiveConversation } from './receiver.ts';

/** `frg` is one byte that counts down. */
const MAX_FRAGMENTS = 255;

interface ControlFragment {
  payload: Buffer;
  /** How many follow. */
  fragment: number;
}

/** Control messages, cut into fragments, that wait for their first transmission. */
export class ControlQueue {
  /** Bytes waiting. */
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

  /** Requires `first` to be defined. */
  shift(): ControlFragment {
    const first = this.waiting.shift()!;
    this.bytes -= first.payload.length;
    return first;
  }
}

/** Reassembles the peer's control messages. */
export class ControlAssembly {
  private fragments: Buffer[] = [];
  private readonly onMessage: (message: Buffer) => void;

  constructor(onMessage: (message: Buffer) => void) {
    this.onMessage = onMessage;
  }

  /** Takes the segments that are in order now. */
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
