import { PERFECT_LINK, profileFault, type LinkProfile } from './profile.ts';

/** IPv4 and UDP headers, which take their part of a link's rate. */
const HEADER_BYTES = 28;

/** One copy of a datagram that arrives. */
export interface Delivery {
  atMs: number;
  /** To be turned over in the copy; counted from the first bit of the first byte. */
  wrongBit: number | undefined;
}

export interface LinkCounters {
  offered: number;
  offeredBytes: number;
  delivered: number;
  deliveredBytes: number;
  lost: number;
  lostInBursts: number;
  /** While the direction was cut. */
  cut: number;
  /** Above the link's MTU. */
  tooLarge: number;
  /** Found the queue full. */
  queueFull: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
}

/**
 * One direction of a link. Pure: sizes, time and randomness come in, times of arrival come out; who carries the bytes is another's affair.
 * What is on its way when the profile changes keeps its times.
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
  /** Gauss-Markov process whose value, as a quantile, is the share of jitterMs. */
  #swing = 0;
  #swungMs = -Infinity;
  #latestMs = -Infinity;

  /** @throws RangeError naming the field that cannot be */
  constructor(profile: Partial<LinkProfile>, random: () => number) {
    this.#random = random;
    this.change(profile, 0);
  }

  get profile(): Readonly<LinkProfile> {
    return this.#profile;
  }

  /** From now on; fields not named stay as they are. @throws RangeError naming the field that cannot be; nothing changes then */
  change(profile: Partial<LinkProfile>, nowMs: number): void {
    const changed = { ...this.#profile, ...profile };
    const fault = profileFault(changed);
    if (fault !== undefined) throw new RangeError(fault);
    this.#drain(nowMs);
    this.#profile = changed;
  }

  /** How long what comes now waits for the rate, ms. */
  waitMs(nowMs: number): number {
    this.#drain(nowMs);
    return this.#backlogBytes / this.#bytesPerMs;
  }

  /** A datagram of so many bytes of payload enters. When each copy of it arrives; none when it is lost. Time must not run backwards. */
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

  /** Time until the last byte is on the link; undefined when there is no room to wait. */
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
    return { atMs, wrongBit: isWrong ? Math.floor(this.#random() * bytes * 8) : undefined };
  }

  #jitterShare(nowMs: number): number {
    const { jitterCorrelationMs } = this.#profile;
    if (jitterCorrelationMs === 0) return this.#random();
    const kept = Math.exp(-Math.max(0, nowMs - this.#swungMs) / jitterCorrelationMs);
    this.#swing = kept * this.#swing + Math.sqrt(1 - kept * kept) * this.#gaussian();
    this.#swungMs = nowMs;
    return normalQuantileOf(this.#swing);
  }

  /** Standard normal (Box and Muller 1958). */
  #gaussian(): number {
    return Math.sqrt(-2 * Math.log(1 - this.#random())) * Math.cos(2 * Math.PI * this.#random());
  }
}

/** Share of a standard normal distribution below `x`, to 1e-7 (Abramowitz and Stegun, 26.2.17). */
function normalQuantileOf(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const polynomial = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const above = (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * polynomial;
  return x >= 0 ? 1 - above : above;
}
