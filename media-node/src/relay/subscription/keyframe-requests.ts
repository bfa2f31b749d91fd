import { MAX_LAYERS } from '@millrace/api/trunk';

/** A request goes up at once; the next for the same track and layer not sooner than this. */
export const KEYFRAME_INTERVAL_MS = 300;

/** Coalesces the keyframe requests of one stream's viewers. */
export class KeyframeRequests {
  readonly #lastMs = new Map<number, number>();
  readonly #pending = new Set<number>();

  /** True when the request is to go up now; else it goes with the next one due, unless a keyframe comes first. */
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

  /** Whoever asked has its keyframe. */
  seen(track: number, layer: number): void {
    this.#pending.delete(track * MAX_LAYERS + layer);
  }

  /** Calls `send` for what is due; returns when to come again. */
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
