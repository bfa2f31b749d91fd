const BUCKET_MS = 0.1;
const BUCKETS = 1_000;

export interface LatenessSummary {
  datagrams: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

/** The difference between the due and the actual sending time of datagrams, which is the emulator's own error. Resolution 0.1 ms. */
export class Lateness {
  #counts = new Uint32Array(BUCKETS);
  #datagrams = 0;
  #maxMs = 0;

  add(errorMs: number): void {
    const off = Math.abs(errorMs);
    this.#counts[Math.min(BUCKETS - 1, Math.floor(off / BUCKET_MS))]!++;
    this.#datagrams++;
    this.#maxMs = Math.max(this.#maxMs, off);
  }

  /** The summary since the last call. */
  take(): LatenessSummary {
    const summary = { datagrams: this.#datagrams, p50Ms: this.#quantile(0.5), p99Ms: this.#quantile(0.99), maxMs: this.#maxMs };
    this.#counts = new Uint32Array(BUCKETS);
    this.#datagrams = this.#maxMs = 0;
    return summary;
  }

  /** The upper bound of the bucket that contains the quantile, ms. */
  #quantile(share: number): number {
    let rest = share * this.#datagrams;
    if (rest === 0) return 0;
    const bucket = this.#counts.findIndex((count) => (rest -= count) <= 0);
    return Math.min(this.#maxMs, (bucket + 1) * BUCKET_MS);
  }
}
