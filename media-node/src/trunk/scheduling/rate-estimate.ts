/** A queue on the way that stands this long over the empty way's RTT is one that we feed faster than it empties. */
const STANDING_MS = 60;
/** A burst makes a queue too; one that stands through two looks does not go away by itself. */
const LOOK_MS = 100;
const LOOKS_TO_SLOW_DOWN = 2;
/** The empty way's RTT is the least of so long: the way may change. */
const BASE_MS = 10_000;
/** Of what comes through: first so little that the queue empties, then a little less (as BBR's drain and cruise). */
const DRAIN = 0.5;
const CRUISE = 0.95;
const MOST_DRAIN_MS = 1_000;
const RELIEF = 0.7;
/** Growth a second while nothing stands in the way: slow near the rate at which it last did, faster away from it. */
const CAREFUL_GROWTH = 0.1;
const GROWTH = 0.5;
const CAREFUL_WITHIN = 1.2;
/** Audio and heartbeats pass whatever was measured. */
const LEAST_BYTES_PER_MS = 16;
/** With so much more than what is sent for so long, there is no limit any more. */
const ROOM = 2;
const ROOM_MS = 3_000;

/**
 * What a way carries, learned by its sender from acknowledgements alone: no limit as long as no queue builds up; then a little less than what
 * comes through, growing again once the queue is gone (delay and delivery rate, as in BBR and GCC). Loss says nothing here: it may be the
 * air's. A peer whose CPU is too busy to read looks like a full queue, rightly.
 */
export class RateEstimate {
  /** Infinity: no limit known. */
  bytesPerMs = Infinity;
  /** Of the least RTT of the last look over the empty way's. */
  standingMs = 0;
  private base = { presentMs: Infinity, formerMs: Infinity, sinceMs: -Infinity };
  private leastMs = Infinity;
  private lookMs = -Infinity;
  private standing = 0;
  private ackedBytes = 0;
  private sentBytes = 0;
  /** Bytes per ms of the last looks. */
  private readonly came: number[] = [];
  private readonly went: number[] = [];
  private congestedAt = Infinity;
  /** The longest queue since it began, and the limit before. */
  private drain: { peakMs: number; bytesPerMs: number } | undefined;
  private drainUntilMs = -Infinity;
  private roomSinceMs = Infinity;

  rtt(rttMs: number, nowMs: number): void {
    this.leastMs = Math.min(this.leastMs, rttMs);
    if (nowMs - this.base.sinceMs > BASE_MS) {
      this.base = { presentMs: rttMs, formerMs: this.base.presentMs, sinceMs: nowMs };
    }
    this.base.presentMs = Math.min(this.base.presentMs, rttMs);
  }

  acked(bytes: number): void {
    this.ackedBytes += bytes;
  }

  sent(bytes: number): void {
    this.sentBytes += bytes;
  }

  /** Whether the limit changed. */
  look(nowMs: number): boolean {
    if (this.lookMs === -Infinity) this.lookMs = nowMs;
    const elapsedMs = nowMs - this.lookMs;
    if (elapsedMs < LOOK_MS) return false;
    remember(this.came, this.ackedBytes / elapsedMs);
    remember(this.went, this.sentBytes / elapsedMs);
    const heard = this.leastMs < Infinity;
    if (heard) this.standingMs = this.leastMs - Math.min(this.base.presentMs, this.base.formerMs);
    this.ackedBytes = this.sentBytes = 0;
    this.leastMs = Infinity;
    this.lookMs = nowMs;
    // Silence is for the heartbeats to judge.
    return heard && this.judge(elapsedMs, nowMs);
  }

  private judge(elapsedMs: number, nowMs: number): boolean {
    const before = this.bytesPerMs;
    if (this.standingMs > STANDING_MS) this.standing++;
    else this.standing = 0;
    if (this.drain) {
      this.drain.peakMs = Math.max(this.drain.peakMs, this.standingMs);
      if (nowMs < this.drainUntilMs) return false;
      this.endDrain(this.drain);
    }
    if (this.standing >= LOOKS_TO_SLOW_DOWN) this.slowDown(nowMs);
    else if (this.standing === 0 && before < Infinity) this.grow(elapsedMs, nowMs);
    return this.bytesPerMs !== before;
  }

  private slowDown(nowMs: number): void {
    this.drain = { peakMs: this.standingMs, bytesPerMs: this.bytesPerMs };
    this.congestedAt = Math.min(steadiest(this.came), this.bytesPerMs);
    this.standing = 0;
    this.roomSinceMs = Infinity;
    this.bytesPerMs = Math.max(LEAST_BYTES_PER_MS, DRAIN * this.congestedAt);
    // And until acknowledgements tell of what was sent since.
    const echoMs = Math.min(this.base.presentMs, this.base.formerMs) + this.standingMs;
    this.drainUntilMs = nowMs + Math.min(MOST_DRAIN_MS, echoMs + this.standingMs / (1 - DRAIN));
  }

  /** A delay that is still there when so much less was sent is not our queue: the way got longer, or somebody's CPU is late. */
  private endDrain(before: { peakMs: number; bytesPerMs: number }): void {
    this.drain = undefined;
    if (this.standingMs < RELIEF * before.peakMs) {
      this.bytesPerMs = Math.max(LEAST_BYTES_PER_MS, CRUISE * this.congestedAt);
      return;
    }
    this.bytesPerMs = before.bytesPerMs;
    const baseMs = Math.min(this.base.presentMs, this.base.formerMs) + this.standingMs;
    this.base = { ...this.base, presentMs: baseMs, formerMs: baseMs };
    this.standing = 0;
  }

  private grow(elapsedMs: number, nowMs: number): void {
    const careful = this.bytesPerMs < this.congestedAt * CAREFUL_WITHIN && this.bytesPerMs > this.congestedAt / CAREFUL_WITHIN;
    this.bytesPerMs *= 1 + ((careful ? CAREFUL_GROWTH : GROWTH) * Math.min(elapsedMs, 2 * LOOK_MS)) / 1000;
    if (this.bytesPerMs < ROOM * mean(this.went)) this.roomSinceMs = Infinity;
    else if (this.roomSinceMs === Infinity) this.roomSinceMs = nowMs;
    else if (nowMs - this.roomSinceMs > ROOM_MS) this.bytesPerMs = Infinity;
  }
}

/** Of the last five looks: half a second. */
function remember(rates: number[], rate: number): void {
  rates.push(rate);
  if (rates.length > 5) rates.shift();
}

/** One look's worth is uneven, and some looks saw a pause: what comes through is the most of two in a row. */
function steadiest(rates: number[]): number {
  return rates.reduce((most, rate, i) => (i === 0 ? most : Math.max(most, (rate + rates[i - 1]!) / 2)), 0);
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
