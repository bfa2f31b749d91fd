/** A standing queue delay above this, and above the path's own variation, means that we send faster than the path drains. */
const STANDING_QUEUE_MS = 60;
/** Multiple and gain of the RTT variation: a queue grows smoothly, jitter jumps from one acknowledgement to the next. */
const VARIATIONS = 8;
const VARIATION_GAIN = 1 / 16;
/** Sampling interval. A burst causes a short queue too; only a queue seen in two samples in a row counts as congestion. */
const SAMPLE_MS = 100;
const SAMPLES_TO_SLOW_DOWN = 2;
/** Window of the minimum RTT, which stands for the empty path: the path may change. */
const BASE_MS = 10_000;
/** Shares of the delivery rate: first low enough to drain the queue, then slightly below it (BBR's drain and cruise). */
const DRAIN = 0.5;
const CRUISE = 0.95;
/** A queue of a second drains within this time. */
const MAX_DRAIN_MS = 4_000;
const RELIEF = 0.7;
/** Growth per second while there is no queue: slow near the rate of the last congestion, faster away from it. */
const CAREFUL_GROWTH = 0.1;
const GROWTH = 0.5;
const CAREFUL_WITHIN = 1.2;
/** Floor of the estimate, so that audio and heartbeats always pass. */
const MIN_BYTES_PER_MS = 16;
/** When the limit was this many times the sending rate for this long, it is lifted. */
const ROOM = 2;
const ROOM_MS = 3_000;

/** While a queue drains. */
interface Drain {
  sinceMs: number;
  /** The queue delay when it began. Known once a datagram that was sent then is acknowledged: until then RTTs are those of a shorter queue. */
  queueMs: number | undefined;
  /** The limit before. */
  bytesPerMs: number;
}

/**
 * Estimates a path's rate at the sender, from acknowledgements alone. There is no limit until a queue builds up; then the limit is slightly below
 * the delivery rate and grows again once the queue has drained (delay and delivery rate, as in BBR and GCC). Loss is ignored, since a wireless
 * link loses packets without congestion. A peer whose CPU is too busy to read counts as congested, intentionally.
 */
export class RateEstimate {
  /** Infinity: no limit known. */
  bytesPerMs = Infinity;
  /** Queue delay: the minimum RTT of the last sample less that of the empty path, ms. */
  queueDelayMs = 0;
  private base = { presentMs: Infinity, formerMs: Infinity, sinceMs: -Infinity };
  private minRttMs = Infinity;
  private lastRttMs: number | undefined;
  /** Mean difference of successive RTTs, ms. */
  private variationMs = 0;
  private sampledAtMs = -Infinity;
  private congestedSamples = 0;
  private ackedBytes = 0;
  private sentBytes = 0;
  private pushedBytes = 0;
  /** Rates of the last samples, bytes per ms. */
  private readonly ackedRates: number[] = [];
  private readonly sentRates: number[] = [];
  private readonly pushedRates: number[] = [];
  private congestedAt = Infinity;
  private drain: Drain | undefined;
  private roomSinceMs = Infinity;

  rtt(rttMs: number, nowMs: number): void {
    this.minRttMs = Math.min(this.minRttMs, rttMs);
    this.variationMs += (Math.abs(rttMs - (this.lastRttMs ?? rttMs)) - this.variationMs) * VARIATION_GAIN;
    this.lastRttMs = rttMs;
    if (nowMs - this.base.sinceMs > BASE_MS) {
      this.base = { presentMs: rttMs, formerMs: this.base.presentMs, sinceMs: nowMs };
    }
    this.base.presentMs = Math.min(this.base.presentMs, rttMs);
    const { drain } = this;
    if (drain && drain.queueMs === undefined && nowMs - rttMs >= drain.sinceMs) drain.queueMs = rttMs - this.baseMs;
  }

  /** RTT of the empty path. */
  private get baseMs(): number {
    return Math.min(this.base.presentMs, this.base.formerMs);
  }

  /** Bytes of segments that arrived. */
  acked(bytes: number): void {
    this.ackedBytes += bytes;
  }

  /** A datagram of so many bytes on the wire, of which `pushed` are segments. */
  sent(bytes: number, pushed: number): void {
    this.sentBytes += bytes;
    this.pushedBytes += pushed;
  }

  /** Takes a sample when one is due. Returns whether the limit changed. */
  update(nowMs: number): boolean {
    if (this.sampledAtMs === -Infinity) this.sampledAtMs = nowMs;
    const elapsedMs = nowMs - this.sampledAtMs;
    if (elapsedMs < SAMPLE_MS) return false;
    remember(this.ackedRates, this.ackedBytes / elapsedMs);
    remember(this.sentRates, this.sentBytes / elapsedMs);
    remember(this.pushedRates, this.pushedBytes / elapsedMs);
    const heard = this.minRttMs < Infinity;
    if (heard) this.queueDelayMs = this.minRttMs - this.baseMs;
    this.ackedBytes = this.sentBytes = this.pushedBytes = 0;
    this.minRttMs = Infinity;
    this.sampledAtMs = nowMs;
    // Without an RTT sample nothing is known; liveness handles a silent peer.
    return heard && this.judge(elapsedMs, nowMs);
  }

  private judge(elapsedMs: number, nowMs: number): boolean {
    const before = this.bytesPerMs;
    if (this.queueDelayMs > Math.max(STANDING_QUEUE_MS, VARIATIONS * this.variationMs)) this.congestedSamples++;
    else this.congestedSamples = 0;
    if (this.drain) {
      if (nowMs < this.drainedMs(this.drain)) return false;
      this.endDrain(this.drain);
    }
    if (this.congestedSamples >= SAMPLES_TO_SLOW_DOWN) this.slowDown(nowMs);
    else if (this.congestedSamples === 0 && before < Infinity) this.grow(elapsedMs, nowMs);
    return this.bytesPerMs !== before;
  }

  private slowDown(nowMs: number): void {
    this.drain = { sinceMs: nowMs, queueMs: undefined, bytesPerMs: this.bytesPerMs };
    this.congestedAt = Math.min(this.deliveryRate(), this.bytesPerMs);
    this.congestedSamples = 0;
    this.roomSinceMs = Infinity;
    this.bytesPerMs = Math.max(MIN_BYTES_PER_MS, DRAIN * this.congestedAt);
  }

  /** When the queue is empty and an acknowledgement shows it, at the latest. */
  private drainedMs({ sinceMs, queueMs }: Drain): number {
    if (queueMs === undefined) return sinceMs + MAX_DRAIN_MS;
    return sinceMs + Math.min(MAX_DRAIN_MS, queueMs / (1 - DRAIN) + this.baseMs + SAMPLE_MS);
  }

  /** A delay that persists at the lower rate is not caused by our queue: the path got longer, or the peer's CPU is slow. */
  private endDrain({ queueMs = this.queueDelayMs, bytesPerMs }: Drain): void {
    this.drain = undefined;
    if (this.queueDelayMs < RELIEF * queueMs) {
      this.bytesPerMs = Math.max(MIN_BYTES_PER_MS, CRUISE * this.congestedAt);
      return;
    }
    this.bytesPerMs = bytesPerMs;
    const baseMs = this.baseMs + this.queueDelayMs;
    this.base = { ...this.base, presentMs: baseMs, formerMs: baseMs };
    this.congestedSamples = 0;
  }

  /**
   * On the wire, as the limit is: acknowledgements count segments only, to which datagrams add headers and parity. Single samples are uneven and may
   * contain a pause: the highest mean of two in a row.
   */
  private deliveryRate(): number {
    const acked = this.ackedRates.reduce(
      (most, rate, i, rates) => (i === 0 ? most : Math.max(most, (rate + rates[i - 1]!) / 2)),
      0,
    );
    const pushed = mean(this.pushedRates);
    return pushed > 0 ? acked * Math.max(1, mean(this.sentRates) / pushed) : acked;
  }

  private grow(elapsedMs: number, nowMs: number): void {
    const careful = this.bytesPerMs < this.congestedAt * CAREFUL_WITHIN && this.bytesPerMs > this.congestedAt / CAREFUL_WITHIN;
    this.bytesPerMs *= 1 + ((careful ? CAREFUL_GROWTH : GROWTH) * Math.min(elapsedMs, 2 * SAMPLE_MS)) / 1000;
    if (this.bytesPerMs < ROOM * mean(this.sentRates)) this.roomSinceMs = Infinity;
    else if (this.roomSinceMs === Infinity) this.roomSinceMs = nowMs;
    else if (nowMs - this.roomSinceMs > ROOM_MS) this.bytesPerMs = Infinity;
  }
}

/** Keeps the last five samples: half a second. */
function remember(rates: number[], rate: number): void {
  rates.push(rate);
  if (rates.length > 5) rates.shift();
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
