/** First in, first out, as arrays by field with a moving head: no object for a packet. */
export class PacketQueue {
  bytes = 0;
  private conversations: number[] = [];
  private payloads: Buffer[] = [];
  private deadlines: number[] = [];
  /** Packets of a chain build on one another; -1 for those that stand alone. */
  private chains: number[] = [];
  /** Whether the chain begins anew with it. */
  private starts: boolean[] = [];
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

  get firstChain(): number {
    return this.chains[this.head]!;
  }

  push(conversation: number, payload: Buffer, deadlineMs: number, chain: number, starts: boolean): void {
    this.conversations.push(conversation);
    this.chains.push(chain);
    this.payloads.push(payload);
    this.deadlines.push(deadlineMs);
    this.starts.push(starts);
    this.bytes += payload.length;
  }

  shift(): void {
    this.bytes -= this.payloads[this.head]!.length;
    this.head++;
    if (this.head === this.payloads.length) this.truncate(0, 0);
    else if (this.head >= 1024 && this.head * 2 > this.payloads.length) this.compact();
  }

  /** Place of the last packet with which the chain begins anew, or -1. */
  lastStart(chain: number): number {
    for (let at = this.payloads.length - 1; at >= this.head; at--) {
      if (this.starts[at] && this.chains[at] === chain) return at - this.head;
    }
    return -1;
  }

  /** Takes out the chain's packets before this place; how many there were. */
  remove(chain: number, before: number): number {
    const end = this.head + before;
    let kept = this.head;
    for (let at = this.head; at < this.payloads.length; at++) {
      if (at < end && this.chains[at] === chain) {
        this.bytes -= this.payloads[at]!.length;
        continue;
      }
      this.conversations[kept] = this.conversations[at]!;
      this.payloads[kept] = this.payloads[at]!;
      this.deadlines[kept] = this.deadlines[at]!;
      this.chains[kept] = this.chains[at]!;
      this.starts[kept] = this.starts[at]!;
      kept++;
    }
    const removed = this.payloads.length - kept;
    this.truncate(kept === this.head ? 0 : kept, kept === this.head ? 0 : this.head);
    return removed;
  }

  private compact(): void {
    for (const field of [this.conversations, this.payloads, this.deadlines, this.chains, this.starts]) field.splice(0, this.head);
    this.head = 0;
  }

  private truncate(length: number, head: number): void {
    for (const field of [this.conversations, this.payloads, this.deadlines, this.chains, this.starts]) field.length = length;
    this.head = head;
  }
}
