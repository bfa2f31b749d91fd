/**
 * Numbers and timestamps of one layer as viewers see them: without a step, whatever publisher is behind the name. Within an
 * epoch they keep their distances, so that a gap stays a gap and sender reports stay true.
 */
export class Rebase {
  readonly #clockRate: number;
  #seqOffset = 0;
  #timestampOffset = 0;
  #source = -1;
  #lastSeq = -1;
  /** Pictures may be sent before others that are shown earlier (B-frames): the last one is not the latest. */
  #latestTimestamp: number | undefined;
  #latestSentMs = 0;

  constructor(clockRate: number) {
    this.#clockRate = clockRate;
  }

  /** Before the first packet of a source (an epoch and layer), and where the numbers begin anew within one. */
  restart(source: number, seq: number, timestamp: number, nowMs: number): void {
    if (this.#lastSeq !== -1) {
      this.#seqOffset = this.#lastSeq + 1 - seq;
      if (source !== this.#source) this.#timestampOffset = this.#continued(nowMs) - timestamp;
    }
    this.#source = source;
  }

  /** As much later as time went by since the packet with the latest time, at least one tick. */
  #continued(nowMs: number): number {
    return (this.#latestTimestamp ?? 0) + Math.max(1, Math.round(((nowMs - this.#latestSentMs) * this.#clockRate) / 1000));
  }

  seq(canonical: number): number {
    this.#lastSeq = canonical + this.#seqOffset;
    return this.#lastSeq & 0xffff;
  }

  /** Of a packet that is sent now. */
  timestamp(timestamp: number, nowMs: number): number {
    const out = (timestamp + this.#timestampOffset) >>> 0;
    if (this.#latestTimestamp === undefined || ((out - this.#latestTimestamp) | 0) > 0) {
      this.#latestTimestamp = out;
      this.#latestSentMs = nowMs;
    }
    return out;
  }

  /** Of a sender report; undefined while nothing of its source was sent. */
  reported(timestamp: number, source: number): number | undefined {
    return source === this.#source ? (timestamp + this.#timestampOffset) >>> 0 : undefined;
  }
}
