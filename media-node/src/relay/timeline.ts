/**
 * How far a source's clock may run ahead of arrival times before it counts as a step. Smaller gains are jitter, a queue that drains, or a
 * source that sends faster than real time.
 */
export const MAX_LEAD_GAIN_MS = 2000;
/** After a restart of the sequence numbers, the clock counts as continuous if it agrees with the elapsed time within this error. */
const MAX_RESTART_ERROR_MS = 500;
/** A sender report belongs to the current clock if it agrees with the elapsed time within this error. */
const MAX_REPORT_ERROR_MS = 1500;
/** Decay of the lead per unit of time: faster than any real clock drifts (RFC 3550 appendix A.8 assumes far less). */
const LEAD_DECAY = 0.001;

export interface TimelineOptions {
  clockRate: number;
  /** How far timestamps may go back between packets in order, ms: pictures are sent in decoding order. */
  maxReorderMs: number;
}

/**
 * Timestamps of one track and layer downstream of the origin: those of the publisher, made continuous where its clock jumps. At a jump the
 * timestamp advances by the elapsed time; otherwise distances are kept, including those of pauses.
 */
export class Timeline {
  readonly #ticksPerMs: number;
  readonly #maxReorderTicks: number;
  #offset = 0;
  #started = false;
  /** The packet with the latest timestamp: its timestamp in, out (never wraps), and its arrival time. */
  #newest = 0;
  #newestOut = 0;
  #newestArrivedMs = 0;
  /** The largest lead of output time over arrival time, in ticks. */
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

  /** The same instant on the continuous timeline; undefined when the report belongs to another clock than the current one. */
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

/** Signed distance between 32-bit timestamps, across the wrap. */
export function signedDistance(from: number, to: number): number {
  return (to - from) | 0;
}
