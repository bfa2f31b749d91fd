/** Longer than the second that a resubscription may request, since detecting a lost trunk takes part of it. */
export const KEEP_MS = 1500;
export const MAX_RING_BYTES = 16 * 1024 * 1024;
/** Largest distance between the oldest and the newest packet; a larger jump in the numbers counts as a restart. */
export const MAX_RING_SPAN = 16_384;
const INITIAL_SLOTS = 256;

export type Inserted = 'new' | 'duplicate' | 'stale';

/**
 * The last packets of one track and layer by canonical sequence number: the source of replays and of restored order, and the filter of duplicates. One
 * array for each field with slots by number, so that a packet costs no object and no search.
 */
export class PacketRing {
  /** 0 audio, 1 video: the class of the conversation that it travels in. */
  readonly mediaClass: 0 | 1;
  /** Newest and oldest numbers held; -1 before the first packet. */
  highest = -1;
  lowest = -1;
  /** The newest packet that starts a keyframe; -1 without one in the ring. */
  keyframe = -1;
  bytes = 0;
  /** All packets below this number were evicted; later arrivals from there are stale. */
  #floor = 0;
  #mask = INITIAL_SLOTS - 1;
  #frames: (Buffer | undefined)[] = new Array<Buffer | undefined>(INITIAL_SLOTS).fill(undefined);
  #arrivedMs = new Float64Array(INITIAL_SLOTS);

  constructor(mediaClass: 0 | 1) {
    this.mediaClass = mediaClass;
  }

  insert(seq: number, frame: Buffer, opensKeyframe: boolean, nowMs: number): Inserted {
    if (this.highest === -1 || seq > this.highest + MAX_RING_SPAN) this.#restart(seq);
    if (seq < this.#floor || seq <= this.highest - MAX_RING_SPAN) return 'stale';
    if (this.get(seq) !== undefined) return 'duplicate';
    while (Math.max(seq, this.highest) - Math.min(seq, this.lowest) > this.#mask) this.#makeRoom();
    this.lowest = Math.min(seq, this.lowest);
    this.highest = Math.max(seq, this.highest);
    this.#frames[seq & this.#mask] = frame;
    this.#arrivedMs[seq & this.#mask] = nowMs;
    this.bytes += frame.length;
    if (opensKeyframe && seq > this.keyframe) this.keyframe = seq;
    this.#evict(nowMs);
    return 'new';
  }

  get(seq: number): Buffer | undefined {
    return seq >= this.lowest && seq <= this.highest ? this.#frames[seq & this.#mask] : undefined;
  }

  /** Arrival time of a held packet, ms. */
  arrivedMs(seq: number): number {
    return this.#arrivedMs[seq & this.#mask]!;
  }

  /** Whether older packets than those held are still accepted: nothing was evicted yet. */
  get takesOlder(): boolean {
    return this.#floor === 0;
  }

  /** The last number before the first hole; -1 for an empty ring. */
  heldUpTo(): number {
    if (this.highest === -1) return -1;
    let seq = this.lowest;
    while (seq < this.highest && this.get(seq + 1) !== undefined) seq += 1;
    return seq;
  }

  /** The first held number from `seq` on; -1 when there is none. */
  nextHeld(seq: number): number {
    for (let at = Math.max(seq, this.lowest); at <= this.highest; at++) if (this.get(at) !== undefined) return at;
    return -1;
  }

  #restart(seq: number): void {
    this.#frames.fill(undefined);
    this.bytes = 0;
    this.keyframe = -1;
    this.#floor = this.highest === -1 ? 0 : seq;
    this.lowest = this.highest = seq;
  }

  /** Doubles the slots while that is allowed, then lets the oldest go. */
  #makeRoom(): void {
    if (this.#mask + 1 < MAX_RING_SPAN) this.#grow();
    else this.#dropLowest();
  }

  #grow(): void {
    const slots = (this.#mask + 1) * 2;
    const frames = new Array<Buffer | undefined>(slots).fill(undefined);
    const arrivedMs = new Float64Array(slots);
    for (let seq = this.lowest; seq <= this.highest; seq++) {
      frames[seq & (slots - 1)] = this.#frames[seq & this.#mask];
      arrivedMs[seq & (slots - 1)] = this.#arrivedMs[seq & this.#mask]!;
    }
    this.#frames = frames;
    this.#arrivedMs = arrivedMs;
    this.#mask = slots - 1;
  }

  #evict(nowMs: number): void {
    while (this.lowest < this.highest) {
      const frame = this.#frames[this.lowest & this.#mask];
      const young = frame !== undefined && nowMs - this.#arrivedMs[this.lowest & this.#mask]! <= KEEP_MS;
      if (young && this.bytes <= MAX_RING_BYTES) return;
      this.#dropLowest();
    }
  }

  #dropLowest(): void {
    const slot = this.lowest & this.#mask;
    const frame = this.#frames[slot];
    if (frame) this.bytes -= frame.length;
    this.#frames[slot] = undefined;
    if (this.keyframe === this.lowest) this.keyframe = -1;
    this.lowest += 1;
    this.#floor = this.lowest;
  }
}
