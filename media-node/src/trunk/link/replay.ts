/** How far behind the newest counter a datagram may arrive. At 100,000 packets a second this is 40 ms of reordering. */
const WINDOW = 4096;
const MASK = WINDOW / 32 - 1;

/** Sliding anti-replay window over 64-bit counters (RFC 6479: a ring of words, so that moving on clears words, not bits). */
export class ReplayWindow {
  highest = -1;
  private readonly words = new Uint32Array(WINDOW / 32);

  /** Whether a datagram with this counter may still be opened. */
  isFresh(counter: number): boolean {
    if (counter > this.highest) return true;
    // One word less than the ring: the word being filled shares its slot with the oldest.
    if (this.highest - counter >= WINDOW - 32) return false;
    return (this.words[Math.floor(counter / 32) & MASK]! & (1 << (counter % 32))) === 0;
  }

  /** Marks an authenticated counter as seen. */
  mark(counter: number): void {
    if (counter > this.highest) {
      const from = this.highest < 0 ? -1 : Math.floor(this.highest / 32);
      const to = Math.floor(counter / 32);
      for (let word = Math.max(from + 1, to - MASK); word <= to; word++) this.words[word & MASK] = 0;
      this.highest = counter;
    }
    this.words[Math.floor(counter / 32) & MASK]! |= 1 << (counter % 32);
  }
}
