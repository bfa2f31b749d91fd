/** Rates are compared over windows of this length. */
const WINDOW_MS = 2000;
/** Number of windows in a row that have to agree. */
const MIN_WINDOWS = 3;
/** A layer's rate is clearly above another's at this ratio. Simulcast layers usually differ by a factor of 2 or more. */
const MIN_RATE_RATIO = 1.5;
/** How long a new order has to persist: layers that are scaled down together do not change in the same packet. */
const SETTLE_MS = 2000;

interface SeenLayer {
  pixels: number | undefined;
  bytesInWindow: number;
  /** Bytes of each of the last windows, the latest last. */
  windows: number[];
}

/**
 * Ranks the simulcast layers of a track by observed picture size, or by rate where sizes are equal or unknown. The order assumed from the SDP is kept
 * until observations contradict it. Time is passed in, in ms.
 */
export class LayerOrder {
  readonly #layers = new Map<number, SeenLayer>();
  #order: readonly number[];
  #windowEndMs: number | undefined;
  #contradiction: { order: readonly number[]; sinceMs: number } | undefined;

  /** @param assumed the layers, lowest first */
  constructor(assumed: readonly number[]) {
    this.#order = assumed;
    for (const layer of assumed) this.#layers.set(layer, { pixels: undefined, bytesInWindow: 0, windows: [] });
  }

  /** Lowest first. */
  get order(): readonly number[] {
    return this.#order;
  }

  /** A keyframe of this layer has this size. @returns whether the order has changed */
  onFrameSize(layer: number, pixels: number, nowMs: number): boolean {
    const seen = this.#layers.get(layer);
    if (!seen || seen.pixels === pixels) return false;
    const isFirst = seen.pixels === undefined;
    seen.pixels = pixels;
    return this.#settle(nowMs, isFirst);
  }

  /** @returns whether the order has changed */
  onPacket(layer: number, bytes: number, nowMs: number): boolean {
    const seen = this.#layers.get(layer);
    if (!seen) return false;
    this.#windowEndMs ??= nowMs + WINDOW_MS;
    const isOver = nowMs >= this.#windowEndMs;
    if (isOver) this.#endWindow(nowMs);
    seen.bytesInWindow += bytes;
    return isOver && this.#settle(nowMs, false);
  }

  #endWindow(nowMs: number): void {
    this.#windowEndMs = nowMs + WINDOW_MS;
    for (const seen of this.#layers.values()) {
      seen.windows = [...seen.windows, seen.bytesInWindow].slice(-MIN_WINDOWS);
      seen.bytesInWindow = 0;
    }
  }

  #settle(nowMs: number, atOnce: boolean): boolean {
    const order = this.#judged();
    if (isSame(order, this.#order)) {
      this.#contradiction = undefined;
      return false;
    }
    if (!this.#contradiction || !isSame(order, this.#contradiction.order)) this.#contradiction = { order, sinceMs: nowMs };
    if (!atOnce && nowMs - this.#contradiction.sinceMs < SETTLE_MS) return false;
    this.#contradiction = undefined;
    this.#order = order;
    return true;
  }

  /** Layers without observations keep their places, unless all observed layers are in reverse order: then the whole order is reversed. */
  #judged(): number[] {
    const seen = this.#order.filter((layer) => this.#isSeen(layer));
    const sorted = this.#sorted(seen);
    const isReversed = sorted.length > 1 && isSame(sorted, [...seen].reverse());
    const base = isReversed ? [...this.#order].reverse() : [...this.#order];
    let next = 0;
    return base.map((layer) => (this.#isSeen(layer) ? sorted[next++]! : layer));
  }

  #isSeen(layer: number): boolean {
    const { pixels, windows } = this.#layers.get(layer)!;
    return pixels !== undefined || (windows.length === MIN_WINDOWS && windows.every((bytes) => bytes > 0));
  }

  /** A stable insertion sort: layers that cannot be distinguished keep their order. */
  #sorted(layers: readonly number[]): number[] {
    const sorted: number[] = [];
    for (const layer of layers) {
      let at = sorted.length;
      while (at > 0 && this.#isLower(layer, sorted[at - 1]!)) at -= 1;
      sorted.splice(at, 0, layer);
    }
    return sorted;
  }

  #isLower(a: number, b: number): boolean {
    const [x, y] = [this.#layers.get(a)!, this.#layers.get(b)!];
    if (x.pixels !== undefined && y.pixels !== undefined && x.pixels !== y.pixels) return x.pixels < y.pixels;
    if (x.windows.length < MIN_WINDOWS) return false;
    return x.windows.every((bytes, i) => bytes > 0 && y.windows[i]! >= bytes * MIN_RATE_RATIO);
  }
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((layer, i) => layer === b[i]);
}
