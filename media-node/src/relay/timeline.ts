/**
 * How far a source's clock may run ahead of arrival times before it counts as a step. Less is jitter, a queue that empties, or a
 * source that is sent faster than it plays.
 */
export const MAX_LEAD_GAIN_MS = 2000;
/** After a restart of the sequence numbers the clock went on by itself only if it agrees this well with the time that went by. */
const MAX_RESTART_ERROR_MS = 500;
/** A sender report is of the clock that runs now if it agrees this well with the time that went by. */
const MAX_REPORT_ERROR_MS = 1500;
/** The lead is forgotten so fast that no drift of a real clock (RFC 3550 appendix A.8 assumes far less) stands behind it. */
const LEAD_DECAY = 0.001;

export interface TimelineOptions {
  clockRate: number;
  /** How far timestamps may go back from packet to packet in order: pictures are sent in the order in which they are decoded. */
  maxReorderMs: number;
}

/**
 * The timestamps of one track and layer as everybody behind the origin sees them: those of the publisher, joined without a step
 * where its clock jumps. Distances are kept otherwise, pauses too. At a jump the timestamp goes on by the time that went by.
 */
export class Timeline {
  readonly #ticksPerMs: number;
  readonly #maxReorderTicks: number;
  #offset = 0;
  #started = false;
  /** The latest packet by time: as it came, as it went out (never wraps), and when it came. */
  #newest = 0;
  #newestOut = 0;
  #newestArrivedMs = 0;
  /** The most that output time was ahead of arrival time, in ticks. */
  #lead = 0;
  jumps = 0;

  constructor({ clockRate, maxReorderMs }: TimelineOptions) {
    this.#ticksPerMs = clockRate / 1000;
    this.#maxReorderTicks = maxReorderMs * this.#ticksPerMs;
  }

  /**
   * The timestamp under which a packet is forwarded; call in the order of decoding.
   * @param timestamp of the RTP header @param restarted its sequence numbers began anew
   */
  forward(timestamp: number, arrivedMs: number, restarted: boolean): number {
    if (!this.#started) this.#begin(timestamp, arrivedMs);
    const elapsed = Math.max(0, arrivedMs - this.#newestArrivedMs) * this.#ticksPerMs;
    const step = signedDistance(this.#newest, timestamp);
    if (restarted ? !this.#agrees(step, elapsed) : this.#jumped(step, arrivedMs)) {
      this.jumps += 1;
      this.#moveTo(timestamp, this.#newestOut + Math.max(1, Math.round(elapsed)), arrivedMs);
    } else if (step > 0) this.#moveTo(timestamp, this.#newestOut + step, arrivedMs);
    return (timestamp + this.#offset) >>> 0;
  }

  /** The same instant on the joined timeline; undefined when the report is of another clock than the one that runs now. */
  report(timestamp: number, nowMs: number): number | undefined {
    if (!this.#started) return undefined;
    const elapsed = (nowMs - this.#newestArrivedMs) * this.#ticksPerMs;
    const error = Math.abs(signedDistance(this.#newest, timestamp) - elapsed);
    return error <= MAX_REPORT_ERROR_MS * this.#ticksPerMs ? (timestamp + this.#offset) >>> 0 : undefined;
  }

  #begin(timestamp: number, arrivedMs: number): void {
    this.#started = true;
    this.#newest = timestamp;
    this.#newestOut = timestamp;
    this.#newestArrivedMs = arrivedMs;
    this.#lead = timestamp - arrivedMs * this.#ticksPerMs;
  }

  #agrees(step: number, elapsed: number): boolean {
    return step > 0 && Math.abs(step - elapsed) <= MAX_RESTART_ERROR_MS * this.#ticksPerMs;
  }

  #jumped(step: number, arrivedMs: number): boolean {
    if (step < 0) return -step > this.#maxReorderTicks;
    const lead = this.#newestOut + step - arrivedMs * this.#ticksPerMs;
    return lead > this.#lead + MAX_LEAD_GAIN_MS * this.#ticksPerMs;
  }

  #moveTo(timestamp: number, out: number, arrivedMs: number): void {
    const elapsed = Math.max(0, arrivedMs - this.#newestArrivedMs) * this.#ticksPerMs;
    this.#newest = timestamp;
    this.#newestOut = out;
    this.#newestArrivedMs = arrivedMs;
    this.#offset = (out - timestamp) % 0x1_0000_0000;
    this.#lead = Math.max(out - arrivedMs * this.#ticksPerMs, this.#lead - LEAD_DECAY * elapsed);
  }
}

/** From one 32-bit timestamp to another, the shorter way round. */
export function signedDistance(from: number, to: number): number {
  return (to - from) | 0;
}
