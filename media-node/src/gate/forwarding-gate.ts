import { KEYFRAME, type FrameMarks } from '@millrace/api/trunk';
import { HoldBuffer } from './hold-buffer.ts';
import { SequenceUnwrapper } from './sequence-unwrapper.ts';

/** The longest that audio waits for order, whatever the RTT; also what an unknown RTT counts for. */
const MAX_ORDER_WAIT_MS = 300;
/** A video frame's packets may be spread over a frame time by the sender's pacer, so a short RTT does not make it shorter. */
const MIN_VIDEO_WAIT_MS = 50;
/** While video is paused a keyframe is asked for again after this. */
const KEYFRAME_REPEAT_MS = 1000;
/** What video is held back for order; after that only a keyframe helps. */
const MAX_HOLD_MS = 1000;
export const MAX_HELD_PACKETS = 1024;
const MAX_HELD_BYTES = 2 * 1024 * 1024;
const RECENT = 1024;

export type DropReason =
  /** Its turn was given up before it came. */
  | 'late'
  | 'duplicate'
  /** A keyframe came, and this stood before it. */
  | 'before-keyframe'
  /** Held for too long, or too much was held. */
  | 'hold-limit'
  /** The sender began a new sequence. */
  | 'restart';

export interface GateActions<P> {
  /** In canonical order, without a hole: `canonical` grows by one from call to call. */
  forward(packet: P, canonical: number, marks: FrameMarks): void;
  drop(packet: P, reason: DropReason): void;
  requestKeyframe(): void;
}

/**
 * The forwarding-control gate behind a publisher, one for each track and layer (docs/decisions/0031). What it lets through
 * is in order. After loss or reordering video pauses until what is missing has come or a keyframe does; audio waits at most
 * min(10 × RTT, 300 ms) and goes on. It decides from packets and the time passed in; it has no timers: call tick at deadlineMs.
 */
export class ForwardingGate<P> {
  readonly #kind: 'audio' | 'video';
  readonly #actions: GateActions<P>;
  readonly #unwrapper = new SequenceUnwrapper();
  readonly #held = new HoldBuffer<P>();
  readonly #recent = new Float64Array(RECENT).fill(-1);
  /** The next in order; undefined when only a keyframe can open the gate. */
  #expected: number | undefined;
  /** Below this all is decided. */
  #floor = 0;
  #canonical: number | undefined;
  #rttMs: number | undefined;
  #pausedSinceMs = Infinity;
  #lastRequestMs = -Infinity;
  #suspect: { seq: number; marks: FrameMarks; packet: P; bytes: number } | undefined;

  constructor(kind: 'audio' | 'video', actions: GateActions<P>, rttMs?: number) {
    this.#kind = kind;
    this.#actions = actions;
    this.#rttMs = rttMs;
  }

  /** The publisher's round-trip time from its RTCP; a wait that runs is judged by the new value. */
  setRtt(rttMs: number): void {
    this.#rttMs = rttMs;
  }

  /** What the gate waits for is missing: something is held, or video lacks its keyframe. */
  get paused(): boolean {
    return this.#pausedSinceMs !== Infinity;
  }

  /** @param seq the RTP sequence number @param bytes the packet's size, for the limit of what is held */
  push(seq: number, marks: FrameMarks, packet: P, bytes: number, nowMs: number): void {
    const extended = this.#unwrapper.extend(seq);
    if (extended === 'restart') return this.#onJump({ seq, marks, packet, bytes }, nowMs);
    if (this.#suspect) this.#dropSuspect();
    this.#unwrapper.accept(extended);
    this.#place(extended, marks, packet, bytes, nowMs);
  }

  /** When tick has something to do; Infinity when nothing waits. */
  deadlineMs(): number {
    if (!this.paused) return Infinity;
    if (this.#kind === 'audio') return this.#pausedSinceMs + this.#waitMs();
    return Math.min(this.#requestDueMs(), this.#held.oldestMs() + MAX_HOLD_MS);
  }

  tick(nowMs: number): void {
    if (this.#kind === 'audio') {
      while (nowMs >= this.deadlineMs()) this.#skipGap();
      return;
    }
    if (!this.paused) return;
    if (nowMs >= this.#held.oldestMs() + MAX_HOLD_MS) this.#giveUpOrder();
    if (nowMs < this.#requestDueMs()) return;
    this.#lastRequestMs = nowMs;
    this.#actions.requestKeyframe();
  }

  #place(seq: number, marks: FrameMarks, packet: P, bytes: number, nowMs: number): void {
    if (this.#kind === 'audio') this.#expected ??= seq;
    if (seq === this.#expected) {
      this.#forward(seq, marks, packet);
      return this.#drain();
    }
    if (seq < (this.#expected ?? this.#floor)) {
      return this.#actions.drop(packet, this.#recent[seq % RECENT] === seq ? 'duplicate' : 'late');
    }
    if (this.#held.has(seq)) return this.#actions.drop(packet, 'duplicate');
    if (this.#kind === 'video' && (marks & KEYFRAME) !== 0) return this.#openAt(seq, marks, packet);
    this.#held.add({ seq, marks, packet, bytes, arrivedMs: nowMs });
    if (!this.paused) this.#pausedSinceMs = nowMs;
    this.#boundHeld();
  }

  #openAt(seq: number, marks: FrameMarks, packet: P): void {
    for (const held of this.#held.takeBelow(seq)) this.#actions.drop(held.packet, 'before-keyframe');
    this.#forward(seq, marks, packet);
    this.#drain();
  }

  #forward(seq: number, marks: FrameMarks, packet: P): void {
    this.#recent[seq % RECENT] = seq;
    this.#expected = seq + 1;
    this.#canonical = this.#canonical === undefined ? seq : this.#canonical + 1;
    this.#actions.forward(packet, this.#canonical, marks);
  }

  /** Lets out what is in order now, and starts the wait anew for the gap behind it, if there is one. */
  #drain(): void {
    if (this.#held.size > 0) {
      for (let next = this.#held.take(this.#expected!); next; next = this.#held.take(this.#expected!)) {
        this.#forward(next.seq, next.marks, next.packet);
      }
    }
    this.#pausedSinceMs = this.#held.size > 0 ? this.#held.oldestMs() : Infinity;
  }

  /** Audio goes on behind the gap. */
  #skipGap(): void {
    const next = this.#held.first();
    if (next) this.#expected = next.seq;
    this.#drain();
  }

  /** What is missing comes too late to be of use: from here only a keyframe opens the gate. */
  #giveUpOrder(): void {
    this.#floor = this.#expected ?? this.#floor;
    this.#expected = undefined;
    for (const held of this.#held.takeBelow(Infinity)) {
      this.#floor = Math.max(this.#floor, held.seq + 1);
      this.#actions.drop(held.packet, 'hold-limit');
    }
  }

  #boundHeld(): void {
    if (this.#held.size <= MAX_HELD_PACKETS && this.#held.bytes <= MAX_HELD_BYTES) return;
    if (this.#kind === 'audio') this.#skipGap();
    else this.#giveUpOrder();
  }

  /** Two packets in a row of another numbering make a restart (RFC 3550 appendix A.1); the first of them is not lost by that. */
  #onJump(packet: { seq: number; marks: FrameMarks; packet: P; bytes: number }, nowMs: number): void {
    const first = this.#suspect;
    if (!first || ((first.seq + 1) & 0xffff) !== packet.seq) {
      this.#dropSuspect();
      this.#suspect = packet;
      return;
    }
    this.#suspect = undefined;
    for (const held of this.#held.takeBelow(Infinity)) this.#actions.drop(held.packet, 'restart');
    this.#floor = this.#unwrapper.restart(first.seq);
    this.#expected = undefined;
    this.#pausedSinceMs = this.#kind === 'video' ? nowMs : Infinity;
    this.#place(this.#floor, first.marks, first.packet, first.bytes, nowMs);
    this.push(packet.seq, packet.marks, packet.packet, packet.bytes, nowMs);
  }

  #dropSuspect(): void {
    if (this.#suspect) this.#actions.drop(this.#suspect.packet, 'restart');
    this.#suspect = undefined;
  }

  #waitMs(): number {
    const waitMs = this.#rttMs === undefined ? MAX_ORDER_WAIT_MS : Math.min(10 * this.#rttMs, MAX_ORDER_WAIT_MS);
    return this.#kind === 'audio' ? waitMs : Math.max(waitMs, MIN_VIDEO_WAIT_MS);
  }

  #requestDueMs(): number {
    return Math.max(this.#pausedSinceMs + this.#waitMs(), this.#lastRequestMs + KEYFRAME_REPEAT_MS);
  }
}
