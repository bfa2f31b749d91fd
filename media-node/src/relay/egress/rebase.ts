/**
 * Numbers and timestamps of one layer as viewers see them: without a step, whatever publisher is behind the name. Within an
 * epoch they keep their distances, so that a gap stays a gap and sender reports stay true.
 */
export class Rebase {
  readonly #clockRate: number;
  #seqOffset = 0;
  #timestampOffset = 0;
  #epoch = -1;
  #lastSeq = -1;
  #lastTimestamp = 0;
  #lastSentMs = 0;

  constructor(clockRate: number) {
    this.#clockRate = clockRate;
  }

  /** Before the first packet of an epoch, and where the numbers begin anew within one. */
  restart(epoch: number, seq: number, timestamp: number, nowMs: number): void {
    if (this.#lastSeq !== -1) {
      this.#seqOffset = this.#lastSeq + 1 - seq;
      if (epoch !== this.#epoch) this.#timestampOffset = this.#continued(nowMs) - timestamp;
    }
    this.#epoch = epoch;
  }

  /** As much later as time went by since the last packet, at least one tick. */
  #continued(nowMs: number): number {
    return this.#lastTimestamp + Math.max(1, Math.round(((nowMs - this.#lastSentMs) * this.#clockRate) / 1000));
  }

  seq(canonical: number): number {
    this.#lastSeq = canonical + this.#seqOffset;
    return this.#lastSeq & 0xffff;
  }

  /** Of a packet that is sent now. */
  timestamp(timestamp: number, nowMs: number): number {
    const out = (timestamp + this.#timestampOffset) >>> 0;
    this.#lastTimestamp = out;
    this.#lastSentMs = nowMs;
    return out;
  }

  /** Of a sender report; undefined while nothing of its epoch was sent. */
  reported(timestamp: number, epoch: number): number | undefined {
    return epoch === this.#epoch ? (timestamp + this.#timestampOffset) >>> 0 : undefined;
  }
}
