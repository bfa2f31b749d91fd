import type { FrameMarks } from '@millrace/api/trunk';

export interface Held<P> {
  seq: number;
  marks: FrameMarks;
  packet: P;
  bytes: number;
  arrivedMs: number;
}

/** Packets that came before their turn, by extended sequence number. Small: searches are only made when a gap ends. */
export class HoldBuffer<P> {
  bytes = 0;
  readonly #held = new Map<number, Held<P>>();

  get size(): number {
    return this.#held.size;
  }

  has(seq: number): boolean {
    return this.#held.has(seq);
  }

  add(held: Held<P>): void {
    this.#held.set(held.seq, held);
    this.bytes += held.bytes;
  }

  take(seq: number): Held<P> | undefined {
    const held = this.#held.get(seq);
    if (!held) return undefined;
    this.#held.delete(seq);
    this.bytes -= held.bytes;
    return held;
  }

  /** The one with the lowest sequence number. */
  first(): Held<P> | undefined {
    let first: Held<P> | undefined;
    for (const held of this.#held.values()) if (!first || held.seq < first.seq) first = held;
    return first;
  }

  /** When the packet that waits longest came; Infinity when none waits. */
  oldestMs(): number {
    let oldest = Infinity;
    for (const held of this.#held.values()) if (held.arrivedMs < oldest) oldest = held.arrivedMs;
    return oldest;
  }

  /** Takes out all below `seq`, in order. */
  takeBelow(seq: number): Held<P>[] {
    const below = [...this.#held.values()].filter((held) => held.seq < seq).sort((a, b) => a.seq - b.seq);
    for (const held of below) this.take(held.seq);
    return below;
  }
}
