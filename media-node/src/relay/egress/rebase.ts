/**
 * Maps sequence numbers and timestamps of one layer to those that viewers see, which are continuous across publishers. Within an epoch distances are
 * kept, so that gaps stay gaps and sender reports stay correct.
 */
export class Rebase {
  readonly #clockRate: number;
  #seqOffset = 0;
  #timestampOffset = 0;
  #source = -1;
  #lastSeq = -1;
  /** Highest timestamp sent. With B-frames it need not be the last one sent. */
  #latestTimestamp: number | undefined;
  #latestSentMs = 0;

  constructor(clockRate: number) {
    this.#clockRate = clockRate;
  }

  /** Call before the first packet of a source (an epoch and layer), and where its numbers restart. */
  restart(source: number, seq: number, timestamp: number, nowMs: number): void {
    if (this.#lastSeq !== -1) {
      this.#seqOffset = this.#lastSeq + 1 - seq;
      if (source !== this.#source) this.#timestampOffset = this.#continued(nowMs) - timestamp;
    }
    this.#source = source;
  }

  /** The highest timestamp plus the time elapsed since it was sent, at least one tick. */
  #continued(nowMs: number): number {
    return (this.#latestTimestamp ?? 0) + Math.max(1, Math.round(((nowMs - this.#latestSentMs) * this.#clockRate) / 1000));
  }

  seq(canonical: number): number {
    this.#lastSeq = canonical + this.#seqOffset;
    return this.#lastSeq & 0xffff;
  }

  /** Timestamp of a packet that is sent now. */
  timestamp(timestamp: number, nowMs: number): number {
    const out = (timestamp + this.#timestampOffset) >>> 0;
    if (this.#latestTimestamp === undefined || ((out - this.#latestTimestamp) | 0) > 0) {
      this.#latestTimestamp = out;
      this.#latestSentMs = nowMs;
    }
    return out;
  }

  /** Timestamp of a sender report; undefined while no packet of its source was sent. */
  reported(timestamp: number, source: number): number | undefined {
    return source === this.#source ? (timestamp + this.#timestampOffset) >>> 0 : undefined;
  }
}
