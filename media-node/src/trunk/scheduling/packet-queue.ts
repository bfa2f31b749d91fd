const INITIAL_SLOTS = 64;
const NOTHING = Buffer.alloc(0);

/** A FIFO as a ring of slots with one array for each field, so that packets need no objects and bursts no reallocation. */
export class PacketQueue {
  bytes = 0;
  private conversations: number[] = new Array<number>(INITIAL_SLOTS).fill(0);
  private payloads: Buffer[] = new Array<Buffer>(INITIAL_SLOTS).fill(NOTHING);
  private deadlines: number[] = new Array<number>(INITIAL_SLOTS).fill(0);
  /** Packets of a chain depend on one another; -1 for independent packets. */
  private chains: number[] = new Array<number>(INITIAL_SLOTS).fill(0);
  /** Whether the packet starts its chain anew, as a keyframe does. */
  private starts: boolean[] = new Array<boolean>(INITIAL_SLOTS).fill(false);
  private mask = INITIAL_SLOTS - 1;
  /** Positions of the first packet and behind the last; they only grow. */
  private head = 0;
  private tail = 0;

  get length(): number {
    return this.tail - this.head;
  }

  get firstPayload(): Buffer {
    return this.payloads[this.head & this.mask]!;
  }

  get firstConversation(): number {
    return this.conversations[this.head & this.mask]!;
  }

  get firstDeadlineMs(): number {
    return this.deadlines[this.head & this.mask]!;
  }

  get firstChain(): number {
    return this.chains[this.head & this.mask]!;
  }

  push(conversation: number, payload: Buffer, deadlineMs: number, chain: number, starts: boolean): void {
    if (this.length > this.mask) this.grow();
    const slot = this.tail++ & this.mask;
    this.conversations[slot] = conversation;
    this.chains[slot] = chain;
    this.payloads[slot] = payload;
    this.deadlines[slot] = deadlineMs;
    this.starts[slot] = starts;
    this.bytes += payload.length;
  }

  shift(): void {
    const slot = this.head++ & this.mask;
    this.bytes -= this.payloads[slot]!.length;
    this.payloads[slot] = NOTHING;
  }

  /** Position of the last packet that starts the chain anew, or -1. */
  lastStart(chain: number): number {
    for (let at = this.tail - 1; at >= this.head; at--) {
      if (this.starts[at & this.mask] && this.chains[at & this.mask] === chain) return at - this.head;
    }
    return -1;
  }

  /** Removes the chain's packets before this position; returns how many. */
  remove(chain: number, before: number): number {
    const end = this.head + before;
    let kept = this.head;
    for (let at = this.head; at < this.tail; at++) {
      const from = at & this.mask;
      if (at < end && this.chains[from] === chain) this.bytes -= this.payloads[from]!.length;
      else this.move(from, kept++ & this.mask);
    }
    const removed = this.tail - kept;
    for (let at = kept; at < this.tail; at++) this.payloads[at & this.mask] = NOTHING;
    this.tail = kept;
    return removed;
  }

  private move(from: number, to: number): void {
    this.conversations[to] = this.conversations[from]!;
    this.payloads[to] = this.payloads[from]!;
    this.deadlines[to] = this.deadlines[from]!;
    this.chains[to] = this.chains[from]!;
    this.starts[to] = this.starts[from]!;
  }

  /** Doubles the slots and moves the first packet to slot 0. */
  private grow(): void {
    const more = this.mask + 1;
    const from = this.head & this.mask;
    const unrolled = <T>(field: T[], empty: T): T[] => [
      ...field.slice(from),
      ...field.slice(0, from),
      ...new Array<T>(more).fill(empty),
    ];
    this.conversations = unrolled(this.conversations, 0);
    this.payloads = unrolled(this.payloads, NOTHING);
    this.deadlines = unrolled(this.deadlines, 0);
    this.chains = unrolled(this.chains, 0);
    this.starts = unrolled(this.starts, false);
    this.mask = 2 * more - 1;
    this.tail = this.length;
    this.head = 0;
  }
}
