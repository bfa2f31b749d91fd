/** Minimum interval between requests to a publisher that answers: several viewers who join together need one keyframe. */
export const MIN_REQUEST_INTERVAL_MS = 300;
/** A keyframe later than this after a request does not count as an answer: the encoder sent it on its own schedule. */
export const ANSWER_WITHIN_MS = 2000;
/** Wait for an answer before the next request; each unanswered request doubles it. */
const INITIAL_BACKOFF_MS = 1000;
export const MAX_REQUEST_INTERVAL_MS = 30_000;

/**
 * Decides when one layer's publisher is asked for a keyframe. One that answers (RFC 4585 section 6.3.1) is asked whenever a viewer joins or a packet
 * is lost; one that does not, such as an encoder with a fixed keyframe interval, is asked less and less often. Times are ms of one steady clock.
 */
export class KeyframeBackoff {
  #lastSentMs = -Infinity;
  /** Requests in a row without an answer. */
  #unanswered = 0;
  #isOpen = false;
  #isWanted = false;

  /** A viewer needs a keyframe. True: ask the publisher now. False: `tick` sends the request when it is due, unless a keyframe arrives first. */
  request(nowMs: number): boolean {
    this.#isWanted = true;
    return this.tick(nowMs);
  }

  /** When `tick` has something to do; Infinity when nobody waits. */
  get dueMs(): number {
    return this.#isWanted ? this.#lastSentMs + this.#intervalMs() : Infinity;
  }

  /** True: ask the publisher now. */
  tick(nowMs: number): boolean {
    if (nowMs < this.dueMs) return false;
    if (this.#isOpen) this.#unanswered += 1;
    this.#isOpen = true;
    this.#isWanted = false;
    this.#lastSentMs = nowMs;
    return true;
  }

  /** A keyframe arrived, which answers pending requests. */
  keyframe(nowMs: number): void {
    if (nowMs - this.#lastSentMs <= ANSWER_WITHIN_MS) this.#unanswered = 0;
    this.#isOpen = false;
    this.#isWanted = false;
  }

  #intervalMs(): number {
    if (this.#unanswered === 0 && !this.#isOpen) return MIN_REQUEST_INTERVAL_MS;
    return Math.min(INITIAL_BACKOFF_MS * 2 ** this.#unanswered, MAX_REQUEST_INTERVAL_MS);
  }
}
