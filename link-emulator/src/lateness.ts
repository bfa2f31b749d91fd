const BUCKET_MS = 0.1;
const BUCKETS = 1_000;

export interface LatenessSummary {
  datagrams: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

/** How far from their due time datagrams left: the emulator's own error, in steps of a tenth of a millisecond. Early counts as late. */
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

  /** Since the last call. */
  take(): LatenessSummary {
    const summary = { datagrams: this.#datagrams, p50Ms: this.#quantile(0.5), p99Ms: this.#quantile(0.99), maxMs: this.#maxMs };
    this.#counts = new Uint32Array(BUCKETS);
    this.#datagrams = this.#maxMs = 0;
    return summary;
  }

  /** Upper end of the bucket in which the quantile lies. */
  #quantile(share: number): number {
    let rest = share * this.#datagrams;
    if (rest === 0) return 0;
    const bucket = this.#counts.findIndex((count) => (rest -= count) <= 0);
    return Math.min(this.#maxMs, (bucket + 1) * BUCKET_MS);
  }
}
