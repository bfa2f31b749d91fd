/** The packets that one viewer, or all viewers of a stream, received. A freeze is a period of FREEZE_MS or more without a packet. */
export interface Account {
  due: number;
  arrived: number;
  freezes: number;
  longestGapMs: number;
}

const FREEZE_MS = 200;

export function emptyAccount(): Account {
  return { due: 0, arrived: 0, freezes: 0, longestGapMs: 0 };
}

export function addAccount(sum: Account, each: Readonly<Account>): void {
  sum.due += each.due;
  sum.arrived += each.arrived;
  sum.freezes += each.freezes;
  sum.longestGapMs = Math.max(sum.longestGapMs, each.longestGapMs);
}

/** Counts one RTP stream by its sequence numbers (RFC 3550 appendix A.1). Packets between the first and the newest one seen are due. */
export class Arrivals {
  #first: number | undefined;
  #newest = 0;
  #arrived = 0;
  #freezes = 0;
  #longestGapMs = 0;
  #lastAtMs = 0;

  packet(sequence: number, atMs: number): void {
    this.#arrived += 1;
    if (this.#first === undefined) this.#first = this.#newest = sequence;
    else {
      const ahead = ((sequence - this.#newest) << 16) >> 16;
      if (ahead > 0) this.#newest += ahead;
      const gapMs = atMs - this.#lastAtMs;
      this.#longestGapMs = Math.max(this.#longestGapMs, gapMs);
      if (gapMs >= FREEZE_MS) this.#freezes += 1;
    }
    this.#lastAtMs = atMs;
  }

  /** All zero before the first packet. */
  account(): Account {
    const due = this.#first === undefined ? 0 : this.#newest - this.#first + 1;
    return { due, arrived: this.#arrived, freezes: this.#freezes, longestGapMs: this.#longestGapMs };
  }

  isSilentSince(atMs: number): boolean {
    return this.#lastAtMs < atMs;
  }
}
