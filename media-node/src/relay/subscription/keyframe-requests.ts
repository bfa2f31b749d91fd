import { MAX_LAYERS } from '@millrace/api/trunk';

/** Minimum interval between requests upstream for the same track and layer. */
export const KEYFRAME_INTERVAL_MS = 300;

/** Coalesces the keyframe requests of one stream's viewers. */
export class KeyframeRequests {
  readonly #lastMs = new Map<number, number>();
  readonly #pending = new Set<number>();

  /** True: send the request upstream now. False: it is sent when the interval is over, unless a keyframe arrives first. */
  request(track: number, layer: number, nowMs: number): boolean {
    const key = track * MAX_LAYERS + layer;
    const lastMs = this.#lastMs.get(key);
    if (lastMs !== undefined && nowMs < lastMs + KEYFRAME_INTERVAL_MS) {
      this.#pending.add(key);
      return false;
    }
    this.#lastMs.set(key, nowMs);
    return true;
  }

  /** A keyframe arrived, which answers the pending request. */
  seen(track: number, layer: number): void {
    this.#pending.delete(track * MAX_LAYERS + layer);
  }

  /** Calls `send` for due requests; returns when to call again, ms. */
  flush(nowMs: number, send: (track: number, layer: number) => void): number {
    let nextMs = Infinity;
    for (const key of this.#pending) {
      const dueMs = this.#lastMs.get(key)! + KEYFRAME_INTERVAL_MS;
      if (nowMs < dueMs) {
        nextMs = Math.min(nextMs, dueMs);
        continue;
      }
      this.#pending.delete(key);
      this.#lastMs.set(key, nowMs);
      send(Math.floor(key / MAX_LAYERS), key % MAX_LAYERS);
    }
    return nextMs;
  }
}
