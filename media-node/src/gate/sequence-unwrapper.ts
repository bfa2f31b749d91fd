/** RFC 3550 appendix A.1: a jump forward of more than this is a restart, not loss. */
const MAX_DROPOUT = 3000;
/** How far back a retransmission can come: about a second of a 2,000 packets/s track. */
const MAX_MISORDER = 2000;
const NEAR = 64;

/** Extends 16-bit sequence numbers to integers that never wrap, and tells a restarted sender from a late packet. */
export class SequenceUnwrapper {
  #highest: number | undefined;
  /** The extended number with which the sender started or restarted. */
  first = -1;

  get started(): boolean {
    return this.#highest !== undefined;
  }

  /** The extended number, or `restart` when the jump is neither loss nor reordering. Changes no state: see `accept`. */
  extend(seq: number): number | 'restart' {
    if (this.#highest === undefined) return seq;
    const delta = ((seq - this.#highest + 0x8000) & 0xffff) - 0x8000;
    if (delta > MAX_DROPOUT || delta < -MAX_MISORDER) return 'restart';
    return this.#highest + delta;
  }

  /** Whether the number is near the highest, as within a reordered burst. */
  isNear(extended: number): boolean {
    return this.#highest === undefined || Math.abs(extended - this.#highest) <= NEAR;
  }

  accept(extended: number): void {
    if (this.#highest === undefined) this.first = extended;
    if (this.#highest === undefined || extended > this.#highest) this.#highest = extended;
  }

  /** Continues from another number, above all accepted ones, so that extended numbers stay monotonic. */
  restart(seq: number): number {
    const highest = this.#highest ?? 0;
    const extended = (Math.floor(highest / 0x1_0000) + 2) * 0x1_0000 + seq;
    this.#highest = extended;
    this.first = extended;
    return extended;
  }
}
