import { PERFECT_LINK, profileError, type LinkProfile } from './profile.ts';

/** IPv4 and UDP headers, which count towards the rate and the MTU. */
const HEADER_BYTES = 28;

/** The arrival of one copy of a datagram. */
export interface Delivery {
  atMs: number;
  /** The index of the bit to flip in the copy; bit 0 is the first bit of the first byte. */
  flippedBit: number | undefined;
}

export interface LinkCounters {
  offered: number;
  offeredBytes: number;
  delivered: number;
  deliveredBytes: number;
  lost: number;
  lostInBursts: number;
  /** Dropped while the direction was cut. */
  cut: number;
  /** Dropped because they exceeded the MTU. */
  tooLarge: number;
  /** Dropped because the queue was full. */
  queueFull: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
}

/**
 * A model of one direction of a link. It computes arrival times from sizes, times and a random source, and performs no I/O. A change of
 * the profile does not affect datagrams in flight.
 */
export class LinkModel {
  readonly counters: LinkCounters = {
    offered: 0,
    offeredBytes: 0,
    delivered: 0,
    deliveredBytes: 0,
    lost: 0,
    lostInBursts: 0,
    cut: 0,
    tooLarge: 0,
    queueFull: 0,
    duplicated: 0,
    reordered: 0,
    corrupted: 0,
  };
  readonly #random: () => number;
  #profile: LinkProfile = PERFECT_LINK;
  #inBurst = false;
  #backlogBytes = 0;
  #drainedMs = -Infinity;
  /** The state of a Gauss-Markov process. Its cumulative probability, 0 to 1, is the share of jitterMs that applies. */
  #swing = 0;
  #swungMs = -Infinity;
  #latestMs = -Infinity;

  /** @throws RangeError with the name of an invalid field */
  constructor(profile: Partial<LinkProfile>, random: () => number) {
    this.#random = random;
    this.change(profile, 0);
  }

  get profile(): Readonly<LinkProfile> {
    return this.#profile;
  }

  /** Changes the given fields from now on. @throws RangeError with the name of an invalid field; then nothing changes */
  change(profile: Partial<LinkProfile>, nowMs: number): void {
    const changed = { ...this.#profile, ...profile };
    const fault = profileError(changed);
    if (fault !== undefined) throw new RangeError(fault);
    this.#drain(nowMs);
    this.#profile = changed;
  }

  /** The current queueing delay of the rate limit, ms. */
  waitMs(nowMs: number): number {
    this.#drain(nowMs);
    return this.#backlogBytes / this.#bytesPerMs;
  }

  /** Accepts a datagram with `bytes` of payload. Returns the arrival of each copy; none if it is lost. `nowMs` must not decrease. */
  offer(bytes: number, nowMs: number): Delivery[] {
    const { counters } = this;
    const profile = this.#profile;
    counters.offered++;
    counters.offeredBytes += bytes;
    if (profile.cut) {
      counters.cut++;
      return [];
    }
    if (bytes + HEADER_BYTES > profile.mtuBytes) {
      counters.tooLarge++;
      return [];
    }
    const waitMs = this.#enqueue(bytes + HEADER_BYTES, nowMs);
    if (waitMs === undefined) {
      counters.queueFull++;
      return [];
    }
    if (this.#isLost()) return [];
    const deliveries = [this.#deliver(bytes, nowMs + waitMs)];
    if (this.#happens(profile.duplication)) {
      counters.duplicated++;
      deliveries.push(this.#deliver(bytes, nowMs + waitMs));
    }
    return deliveries;
  }

  get #bytesPerMs(): number {
    return this.#profile.rateKbps / 8;
  }

  #happens(share: number): boolean {
    return share > 0 && this.#random() < share;
  }

  #drain(nowMs: number): void {
    if (this.#backlogBytes > 0)
      this.#backlogBytes = Math.max(0, this.#backlogBytes - (nowMs - this.#drainedMs) * this.#bytesPerMs);
    this.#drainedMs = nowMs;
  }

  /** Returns the time until the last byte is sent, ms; undefined when the queue is full. */
  #enqueue(bytes: number, nowMs: number): number | undefined {
    if (this.#profile.rateKbps === Infinity) return 0;
    const waitMs = this.waitMs(nowMs);
    if (waitMs > this.#profile.queueMs || (waitMs > 0 && this.#backlogBytes + bytes > this.#profile.queueBytes)) return undefined;
    this.#backlogBytes += bytes;
    return this.#backlogBytes / this.#bytesPerMs;
  }

  #isLost(): boolean {
    const { loss, burstLoss, burstLength } = this.#profile;
    if (burstLoss > 0) {
      const out = 1 / burstLength;
      const into = (out * burstLoss) / (1 - burstLoss);
      this.#inBurst = this.#random() < (this.#inBurst ? 1 - out : into);
      if (this.#inBurst) {
        this.counters.lostInBursts++;
        return true;
      }
    }
    const lost = this.#happens(loss);
    if (lost) this.counters.lost++;
    return lost;
  }

  #deliver(bytes: number, sentMs: number): Delivery {
    const { counters } = this;
    const { delayMs, jitterMs, keepsOrder, reordering, reorderingMs, corruption } = this.#profile;
    let atMs = sentMs + delayMs + (jitterMs > 0 ? jitterMs * this.#jitterShare(sentMs) : 0);
    if (this.#happens(reordering)) {
      counters.reordered++;
      atMs += reorderingMs;
    } else {
      if (keepsOrder) atMs = Math.max(atMs, this.#latestMs);
      this.#latestMs = Math.max(atMs, this.#latestMs);
    }
    const isWrong = bytes > 0 && this.#happens(corruption);
    if (isWrong) counters.corrupted++;
    counters.delivered++;
    counters.deliveredBytes += bytes;
    return { atMs, flippedBit: isWrong ? Math.floor(this.#random() * bytes * 8) : undefined };
  }

  #jitterShare(nowMs: number): number {
    const { jitterCorrelationMs } = this.#profile;
    if (jitterCorrelationMs === 0) return this.#random();
    const kept = Math.exp(-Math.max(0, nowMs - this.#swungMs) / jitterCorrelationMs);
    this.#swing = kept * this.#swing + Math.sqrt(1 - kept * kept) * this.#gaussian();
    this.#swungMs = nowMs;
    return normalCdf(this.#swing);
  }

  /** A standard normal value (Box and Muller 1958). */
  #gaussian(): number {
    return Math.sqrt(-2 * Math.log(1 - this.#random())) * Math.cos(2 * Math.PI * this.#random());
  }
}

/** The cumulative standard normal distribution at `x`, to 1e-7 (Abramowitz and Stegun, 26.2.17). */
function normalCdf(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const polynomial = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const above = (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * polynomial;
  return x >= 0 ? 1 - above : above;
}
