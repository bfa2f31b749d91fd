import { frameMarks, KEYFRAME } from '@millrace/api/trunk';
import { MAX_RING_SPAN, type PacketRing } from '../carried-stream/index.ts';

export interface CursorActions {
  /** Called in order. `restarted`: the numbers have no relation to earlier ones. */
  emit(frame: Buffer, seq: number, restarted: boolean): void;
  requestKeyframe(): void;
}

export interface CursorOptions {
  ring: PacketRing;
  /** Start at a keyframe, and request one when a gap is skipped. */
  keyframes: boolean;
  /** How long a packet waits for missing ones before it, ms. */
  waitMs: number;
}

/** Two round trips of a long path: a packet missing for longer is not in flight. */
const KEYFRAME_WAIT_MS = 250;
/** Interval of keyframe requests while the cursor waits for a keyframe to start at. */
const ASK_AGAIN_MS = 1000;

/**
 * Restores the order of one track and layer at the last hop, reading from the ring that holds the packets. It waits for gaps to fill and skips them after
 * a deadline; a skipped gap stays visible in the sequence numbers, so that decoders notice the loss.
 */
export class LayerCursor {
  readonly #options: CursorOptions;
  readonly #actions: CursorActions;
  #next = -1;
  #restarted = true;
  #pausedSinceMs = Infinity;
  #askedMs = -Infinity;
  gaps = 0;
  lost = 0;

  constructor(options: CursorOptions, actions: CursorActions) {
    this.#options = options;
    this.#actions = actions;
  }

  /** Whether it waits for missing packets. */
  get waits(): boolean {
    return this.#pausedSinceMs !== Infinity;
  }

  /** When the gap is skipped, ms. Earlier with a keyframe behind the gap, from which decoding can continue. */
  get deadlineMs(): number {
    const { ring, keyframes, waitMs } = this.#options;
    const mayGoOn = keyframes && ring.keyframe > this.#next;
    return this.#pausedSinceMs + (mayGoOn ? Math.min(waitMs, KEYFRAME_WAIT_MS) : waitMs);
  }

  /** Starts at the ring's last keyframe if it is not older than `maxAgeMs`. */
  start(nowMs: number, maxAgeMs: number): void {
    const { ring, keyframes } = this.#options;
    const { keyframe } = ring;
    if (!keyframes || keyframe === -1 || nowMs - ring.arrivedMs(keyframe) > maxAgeMs) return;
    this.#next = keyframe;
    this.#drain(nowMs);
  }

  /** The ring has taken this packet. */
  onPacket(seq: number, frame: Buffer, nowMs: number): void {
    if (this.#next === -1 || seq > this.#next + MAX_RING_SPAN) {
      if (!this.#mayBegin(frame, nowMs)) return;
      this.#next = seq;
      this.#restarted = true;
    }
    if (seq === this.#next) this.#drain(nowMs);
    else if (seq > this.#next && this.#pausedSinceMs === Infinity) this.#pausedSinceMs = nowMs;
  }

  #mayBegin(frame: Buffer, nowMs: number): boolean {
    if (!this.#options.keyframes || (frameMarks(frame) & KEYFRAME) !== 0) return true;
    if (nowMs >= this.#askedMs + ASK_AGAIN_MS) {
      this.#askedMs = nowMs;
      this.#actions.requestKeyframe();
    }
    return false;
  }

  /** Skips gaps whose deadline has passed. */
  tick(nowMs: number): void {
    while (nowMs >= this.deadlineMs) this.#pass(nowMs);
  }

  #pass(nowMs: number): void {
    const { ring, keyframes } = this.#options;
    const behind = ring.nextHeld(this.#next);
    if (behind === -1) {
      this.#pausedSinceMs = Infinity;
      return;
    }
    this.gaps += 1;
    this.lost += behind - this.#next;
    this.#next = behind;
    if (keyframes && ring.keyframe < behind) this.#actions.requestKeyframe();
    this.#drain(nowMs);
  }

  #drain(nowMs: number): void {
    const { ring } = this.#options;
    for (let frame = ring.get(this.#next); frame; frame = ring.get(this.#next)) {
      this.#actions.emit(frame, this.#next, this.#restarted);
      this.#restarted = false;
      this.#next += 1;
    }
    // The wait for the next gap began when the first packet behind it arrived.
    this.#pausedSinceMs = ring.highest < this.#next ? Infinity : Math.min(nowMs, ring.arrivedMs(ring.nextHeld(this.#next)));
  }
}
