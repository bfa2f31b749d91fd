/** The maximum time that one look adds: a node that was paused received nothing in the meantime. */
const MAX_LOOK_MS = 2000;

/**
 * Time in which this node was able to receive packets. It stands still while the process is paused or its CPU is stolen, so that clients are not blamed for
 * silence that the node caused.
 */
export class HeardTime {
  #lookedAtMs: number | undefined;
  #heardMs = 0;

  /** Milliseconds heard up to the last look. */
  get ms(): number {
    return this.#heardMs;
  }

  /** Call about each second. @param nowMs monotonic time @returns milliseconds heard so far */
  look(nowMs: number): number {
    this.#heardMs += Math.min(nowMs - (this.#lookedAtMs ?? nowMs), MAX_LOOK_MS);
    this.#lookedAtMs = nowMs;
    return this.#heardMs;
  }
}
