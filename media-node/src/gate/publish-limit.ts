/** Share of the limit that passes for good: packet headers and an encoder's deviation from its target rate are no fault. */
export const MAX_RATE_RATIO = 1.1;
/** The token bucket holds what may pass in this time, so a publisher may be this far ahead before anything is withheld. */
export const MAX_BURST_MS = 2000;
/** Rates of layers are measured over windows of at least this length. */
const WINDOW_MS = 1000;
/** Interval at which a layer that may come back asks for a keyframe. */
const KEYFRAME_INTERVAL_MS = 1000;

/** Below this share of the bucket, video is cut within a frame: what is as large as this is no frame. */
const CUT_AT = -0.25;
/** Below this share audio is withheld, too. */
const AUDIO_SHUT_AT = -0.5;
/** The share by which the bucket must be fuller for a layer to come back than it was when the layer went. */
const HYSTERESIS = 0.5;
/** Layers above the lowest go while the bucket has at most this share. */
const MAX_LAYER_SHARE = 0.5;

/** One layer of a track, as PublishLimit sees it: an encoding (simulcast), or a part of one that can be left out (SVC). */
export interface LimitedLayer {
  readonly track: number;
  readonly layer: number;
  /** Its place within the encoding, in the order in which parts matter; 0: what all others need. */
  readonly part: number;
  readonly isAudio: boolean;
  /** Only a keyframe can begin it again. */
  readonly needsKeyframe: boolean;
  /** Its packets pass. */
  isOpen: boolean;
  /** Its encoding's place among those of the track, lowest first. */
  position: number;
  /** 0: the lowest layer of its track. */
  rank: number;
  bytesInWindow: number;
  bytesPerMs: number;
  askedAtMs: number;
}

const UNSEEN = { bytesInWindow: 0, bytesPerMs: 0, askedAtMs: -Infinity };

/**
 * Keeps what one publisher sends below its bit rate limit, by a token bucket for all its tracks. Once the bucket is used up it withholds the highest layers,
 * then all video, then audio. A layer ends at the start of a frame and comes back at a keyframe, so that viewers never get a part of a frame. The caller
 * passes the time in, ms.
 */
export class PublishLimit {
  readonly #layers: LimitedLayer[] = [];
  #levels = 1;
  /** Infinity: no limit. */
  #bytesPerMs = Infinity;
  #capacity = 0;
  #credit = 0;
  #atMs = 0;
  #windowStartMs = 0;

  /** @param kbps undefined: no limit */
  set(kbps: number | undefined, nowMs: number): void {
    const bytesPerMs = kbps === undefined ? Infinity : (kbps * MAX_RATE_RATIO) / 8;
    if (bytesPerMs === this.#bytesPerMs) return;
    this.#bytesPerMs = bytesPerMs;
    this.#capacity = kbps === undefined ? 0 : bytesPerMs * MAX_BURST_MS;
    this.#credit = this.#capacity;
    this.#atMs = nowMs;
    this.#windowStartMs = nowMs;
  }

  /** A layer of the publisher; layers are added lowest first. */
  add(layer: { track: number; layer: number; isAudio: boolean; needsKeyframe: boolean }): LimitedLayer {
    const position = this.#layers.filter(({ track, part }) => track === layer.track && part === 0).length;
    return this.#add({ ...layer, part: 0, position, rank: 0, isOpen: true, ...UNSEEN });
  }

  /** A part of an encoding that others in it do not need. It opens by `reopen` alone. */
  addPart(whole: LimitedLayer, part: number, isOpen: boolean): LimitedLayer {
    return this.#add({ ...whole, part, isOpen, ...UNSEEN });
  }

  /** The layers of a track have another order; lowest first. */
  reorder(track: number, order: readonly number[]): void {
    for (const layer of this.#layers) if (layer.track === track) layer.position = order.indexOf(layer.layer);
    this.#rank(track);
  }

  /** Whether a part may go on; at the start of a picture. */
  keeps(part: LimitedLayer, nowMs: number): boolean {
    this.#refill(nowMs);
    if (this.#bytesPerMs !== Infinity && this.#credit < this.#shutAt(part)) part.isOpen = false;
    return part.isOpen;
  }

  /** Opens a part again if it fits; for a keyframe, after which all parts can be decoded. */
  reopen(part: LimitedLayer, nowMs: number): void {
    this.#refill(nowMs);
    part.isOpen ||= this.#bytesPerMs === Infinity || this.#mayOpen(part);
  }

  #add(layer: LimitedLayer): LimitedLayer {
    this.#layers.push(layer);
    this.#rank(layer.track);
    return layer;
  }

  #rank(track: number): void {
    const layers = this.#layers.filter((layer) => layer.track === track);
    layers.sort((a, b) => a.position - b.position || a.part - b.part).forEach((layer, rank) => (layer.rank = rank));
    this.#levels = Math.max(this.#levels, layers.length);
  }

  /** Layers that are withheld now. */
  get shut(): number {
    return this.#layers.filter(({ isOpen }) => !isOpen).length;
  }

  /**
   * Decides about a packet; call in order.
   * @param startsFrame it is the first packet of a frame @param isKeyframe the frame is one at which decoding can start
   */
  admits(layer: LimitedLayer, bytes: number, startsFrame: boolean, isKeyframe: boolean, nowMs: number): boolean {
    const mayStart = !layer.needsKeyframe || (startsFrame && isKeyframe && layer.part === 0);
    if (this.#bytesPerMs === Infinity) return (layer.isOpen ||= mayStart);
    this.#refill(nowMs);
    layer.bytesInWindow += bytes;
    const isWhole = startsFrame || !layer.needsKeyframe;
    if (layer.isOpen) {
      if (this.#credit < this.#shutAt(layer) && (isWhole || this.#credit < CUT_AT * this.#capacity)) layer.isOpen = false;
    } else if (mayStart) layer.isOpen = this.#mayOpen(layer);
    if (layer.isOpen) this.#credit -= bytes;
    return layer.isOpen;
  }

  /** Whether to ask the publisher for a keyframe, so that the layer comes back. */
  wantsKeyframe(layer: LimitedLayer, nowMs: number): boolean {
    if (layer.isOpen || !layer.needsKeyframe || nowMs < layer.askedAtMs + KEYFRAME_INTERVAL_MS) return false;
    if (this.#bytesPerMs !== Infinity && !this.#mayOpen(layer)) return false;
    layer.askedAtMs = nowMs;
    return true;
  }

  #mayOpen(layer: LimitedLayer): boolean {
    if (this.#credit < this.#shutAt(layer) + HYSTERESIS * this.#capacity) return false;
    // The lowest layer plays a part of the time where it alone is too large. A higher one would only come and go: it has to fit.
    return layer.rank === 0 || this.#rateUpTo(layer) <= this.#bytesPerMs;
  }

  /** Bytes of credit below which the layer is withheld. */
  #shutAt({ isAudio, rank }: LimitedLayer): number {
    return this.#capacity * (isAudio ? AUDIO_SHUT_AT : (MAX_LAYER_SHARE * rank) / this.#levels);
  }

  /** What the publisher sends in this layer and those that matter more. */
  #rateUpTo({ rank }: LimitedLayer): number {
    let sum = 0;
    for (const other of this.#layers) if (other.isAudio || other.rank <= rank) sum += other.bytesPerMs;
    return sum;
  }

  #refill(nowMs: number): void {
    if (nowMs <= this.#atMs) return;
    this.#credit = Math.min(this.#capacity, this.#credit + (nowMs - this.#atMs) * this.#bytesPerMs);
    this.#atMs = nowMs;
    const windowMs = nowMs - this.#windowStartMs;
    if (windowMs < WINDOW_MS) return;
    this.#windowStartMs = nowMs;
    for (const layer of this.#layers) {
      layer.bytesPerMs = layer.bytesInWindow / windowMs;
      layer.bytesInWindow = 0;
    }
  }
}
