import { frameMarks, KEYFRAME } from '@millrace/api/trunk';
import { MAX_RING_SPAN, type PacketRing } from '../carried-stream/index.ts';

export interface CursorActions {
  /** In order. After `restarted` the numbers have no relation to those before. */
  emit(frame: Buffer, seq: number, restarted: boolean): void;
  requestKeyframe(): void;
}

export interface CursorOptions {
  ring: PacketRing;
  /** Begin at a keyframe, and ask for one when a gap stays open. */
  keyframes: boolean;
  /** How long a packet waits for those before it. */
  waitMs: number;
}

/** Two round trips of a long way: what has not come then was not sent. */
const KEYFRAME_WAIT_MS = 250;
/** While the cursor waits for a keyframe to begin with, it asks for one this often. */
const ASK_AGAIN_MS = 1000;

/**
 * Order for one track and layer at the last hop, restored from the ring that holds the packets anyway. A gap is waited for;
 * one that stays open is passed, and shows in the numbers, so that decoders know.
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

  /** For packets that are missing. */
  get waits(): boolean {
    return this.#pausedSinceMs !== Infinity;
  }

  /** With a keyframe behind the gap the picture goes on without what is missing, so that only a retransmission under way is waited for. */
  get deadlineMs(): number {
    const { ring, keyframes, waitMs } = this.#options;
    const mayGoOn = keyframes && ring.keyframe > this.#next;
    return this.#pausedSinceMs + (mayGoOn ? Math.min(waitMs, KEYFRAME_WAIT_MS) : waitMs);
  }

  /** Starts with what the ring holds: at its last keyframe if that is not older than `maxAgeMs`. */
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

  /** Passes the gap when it was waited for long enough. */
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
    // The wait for the next gap began when the first packet behind it came.
    this.#pausedSinceMs = ring.highest < this.#next ? Infinity : Math.min(nowMs, ring.arrivedMs(ring.nextHeld(this.#next)));
  }
}
