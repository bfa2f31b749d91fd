import { KEYFRAME, type FrameMarks } from '@millrace/api/trunk';
import { HoldBuffer } from './hold-buffer.ts';
import { SequenceUnwrapper } from './sequence-unwrapper.ts';

/** Longest wait of audio for missing packets; also used while the RTT is unknown. */
const MAX_ORDER_WAIT_MS = 300;
/** A video frame's packets may be spread over a frame time by the sender's pacer, so a short RTT does not make it shorter. */
const MIN_VIDEO_WAIT_MS = 50;
/** Interval of keyframe requests while video is paused. */
const KEYFRAME_REPEAT_MS = 1000;
/** Longest time that video packets are held for missing ones; after that the gate waits for a keyframe. */
const MAX_HOLD_MS = 1000;
export const MAX_HELD_PACKETS = 1024;
const MAX_HELD_BYTES = 2 * 1024 * 1024;
const RECENT = 1024;
/** A run of this many consecutive late packets is no retransmission: the sender restarted. */
const MAX_LATE_RUN = 64;
/** Two packets of another sequence within this distance confirm each other. */
const MAX_CONFIRMING_DISTANCE = 16;

export type DropReason =
  /** The gate had skipped it before it arrived. */
  | 'late'
  | 'duplicate'
  /** It precedes a keyframe at which the gate opened. */
  | 'before-keyframe'
  /** Held for too long, or too many packets were held. */
  | 'hold-limit'
  /** The sender started a new sequence. */
  | 'restart';

/** Hint bits about a packet, from its RTP header and payload. */
/** The packet starts an IDR picture without in-band parameter sets, but those it needs are known: the gate may open here. */
export const OPENS_WITH_KNOWN_SETS = 0x01;
/** The timestamp has no relation to earlier ones: unless its number is near theirs, the packet belongs to another sequence. */
export const TIME_JUMPED = 0x02;

export interface GateActions<P> {
  /** Called in canonical order: `canonical` grows by one with each call. `arrivedMs`: when the packet was pushed. */
  forward(packet: P, canonical: number, marks: FrameMarks, arrivedMs: number): void;
  /** The sender started a new sequence, to which the next forwarded packet belongs. */
  restarted(): void;
  drop(packet: P, reason: DropReason): void;
  requestKeyframe(): void;
}

interface UnconfirmedPacket<P> {
  seq: number;
  marks: FrameMarks;
  packet: P;
  bytes: number;
  hints: number;
  arrivedMs: number;
}

/**
 * The forwarding-control gate behind a publisher, one for each track and layer (docs/decisions/0031). It forwards packets
 * in order. After loss or reordering video pauses until the missing packets or a keyframe arrive; audio waits at most
 * min(10 × RTT, 300 ms) and continues. The caller passes the time in and calls tick at deadlineMs.
 */
export class ForwardingGate<P> {
  readonly #kind: 'audio' | 'video';
  readonly #actions: GateActions<P>;
  readonly #unwrapper = new SequenceUnwrapper();
  readonly #held = new HoldBuffer<P>();
  readonly #recent = new Float64Array(RECENT).fill(-1);
  /** The next number to forward; undefined when only a keyframe can open the gate. */
  #expected: number | undefined;
  /** Packets below this number were forwarded or skipped. */
  #floor = 0;
  #canonical: number | undefined;
  #rttMs: number | undefined;
  #pausedSinceMs = Infinity;
  #lastRequestMs = -Infinity;
  #unconfirmed: UnconfirmedPacket<P> | undefined;
  /** Held packets that may open the gate once the packets before them have arrived or timed out. */
  #candidates: { seq: number; arrivedMs: number }[] = [];
  #isNewSource = false;
  #late = { seq: -1, run: 0 };

  constructor(kind: 'audio' | 'video', actions: GateActions<P>, rttMs?: number) {
    this.#kind = kind;
    this.#actions = actions;
    this.#rttMs = rttMs;
  }

  /** The publisher's round-trip time from its RTCP; it also applies to the current wait. */
  setRtt(rttMs: number): void {
    this.#rttMs = rttMs;
  }

  /** The gate waits: for missing packets before held ones, or for a keyframe. */
  get paused(): boolean {
    return this.#pausedSinceMs !== Infinity;
  }

  /** Only a keyframe opens the gate. */
  get waitsForKeyframe(): boolean {
    return this.#kind === 'video' && this.#expected === undefined;
  }

  /** A new sender takes over: unless its first packet continues the sequence, it starts a new one. */
  expectNewSource(): void {
    this.#isNewSource = this.#unwrapper.started;
  }

  /**
   * @param seq the RTP sequence number
   * @param bytes the packet's size, for the limit of what is held
   * @param hints OPENS_WITH_KNOWN_SETS, TIME_JUMPED
   */
  push(seq: number, marks: FrameMarks, packet: P, bytes: number, nowMs: number, hints = 0): void {
    const extended = this.#unwrapper.extend(seq);
    if (this.#isNewSource && extended !== this.#expected)
      return this.#restart({ seq, marks, packet, bytes, hints, arrivedMs: nowMs });
    this.#isNewSource = false;
    if (extended === 'restart' || (!this.#unwrapper.isNear(extended) && (this.#followsUnconfirmed(seq) || hints & TIME_JUMPED)))
      return this.#onJump({ seq, marks, packet, bytes, hints, arrivedMs: nowMs });
    if (this.#unconfirmed) this.#dropUnconfirmed();
    this.#unwrapper.accept(extended);
    this.#place(extended, marks, packet, bytes, nowMs, hints);
  }

  /** When tick has work, ms; Infinity when the gate does not wait. */
  deadlineMs(): number {
    if (!this.paused) return Infinity;
    if (this.#kind === 'audio') return this.#pausedSinceMs + this.#waitMs();
    return Math.min(this.#requestDueMs(), this.#held.oldestMs() + MAX_HOLD_MS, this.#candidateDueMs());
  }

  tick(nowMs: number): void {
    if (this.#kind === 'audio') {
      while (nowMs >= this.deadlineMs()) this.#skipGap();
      return;
    }
    if (!this.paused) return;
    if (nowMs >= this.#candidateDueMs()) this.#openAtHeld(this.#candidates[0]!.seq);
    if (!this.paused) return;
    if (nowMs >= this.#held.oldestMs() + MAX_HOLD_MS) this.#giveUpOrder();
    if (nowMs < this.#requestDueMs()) return;
    this.#lastRequestMs = nowMs;
    this.#actions.requestKeyframe();
  }

  #place(seq: number, marks: FrameMarks, packet: P, bytes: number, nowMs: number, hints: number): void {
    if (this.#kind === 'audio') this.#expected ??= seq;
    if (seq === this.#expected) {
      this.#late.run = 0;
      this.#forward(seq, marks, packet, nowMs);
      return this.#drain();
    }
    if (seq < (this.#expected ?? this.#floor)) {
      this.#late = { seq, run: seq === this.#late.seq + 1 ? this.#late.run + 1 : 1 };
      if (this.#late.run > MAX_LATE_RUN)
        return this.#restart({ seq: seq & 0xffff, marks, packet, bytes, hints, arrivedMs: nowMs });
      return this.#actions.drop(packet, this.#recent[seq % RECENT] === seq ? 'duplicate' : 'late');
    }
    if (this.#held.has(seq)) return this.#actions.drop(packet, 'duplicate');
    if (this.#kind === 'video' && (marks & KEYFRAME) !== 0) return this.#openAt(seq, marks, packet, nowMs);
    this.#held.add({ seq, marks, packet, bytes, arrivedMs: nowMs });
    if (!this.paused) this.#pausedSinceMs = nowMs;
    if (this.#kind === 'video' && (hints & OPENS_WITH_KNOWN_SETS) !== 0) this.#candidates.push({ seq, arrivedMs: nowMs });
    if (this.#candidates.length > 0) this.#openAtSettled();
    this.#boundHeld();
  }

  #openAt(seq: number, marks: FrameMarks, packet: P, arrivedMs: number): void {
    for (const held of this.#held.takeBelow(seq)) this.#actions.drop(held.packet, 'before-keyframe');
    this.#forward(seq, marks, packet, arrivedMs);
    this.#drain();
  }

  #openAtHeld(seq: number): void {
    const { marks, packet, arrivedMs } = this.#held.take(seq)!;
    this.#openAt(seq, marks, packet, arrivedMs);
  }

  /** Opens at the newest candidate without a gap before it, since a missing packet could carry new parameter sets. */
  #openAtSettled(): void {
    const settled = this.#candidates.findLast(({ seq }) => {
      const hasAllBefore = seq <= (this.#expected ?? this.#floor) || this.#held.has(seq - 1);
      return hasAllBefore || seq === this.#unwrapper.first;
    });
    if (settled) this.#openAtHeld(settled.seq);
  }

  #candidateDueMs(): number {
    return this.#candidates.length > 0 ? this.#candidates[0]!.arrivedMs + this.#waitMs() : Infinity;
  }

  #forward(seq: number, marks: FrameMarks, packet: P, arrivedMs: number): void {
    this.#recent[seq % RECENT] = seq;
    this.#expected = seq + 1;
    this.#canonical = this.#canonical === undefined ? seq : this.#canonical + 1;
    this.#actions.forward(packet, this.#canonical, marks, arrivedMs);
  }

  /** Forwards held packets that are in order now, and re-arms the wait for the next gap. */
  #drain(): void {
    if (this.#held.size > 0) {
      for (let next = this.#held.take(this.#expected!); next; next = this.#held.take(this.#expected!)) {
        this.#forward(next.seq, next.marks, next.packet, next.arrivedMs);
      }
    }
    this.#pausedSinceMs = this.#held.size > 0 ? this.#held.oldestMs() : Infinity;
    if (this.#candidates.length > 0) this.#candidates = this.#candidates.filter(({ seq }) => this.#held.has(seq));
  }

  /** Audio skips the gap. */
  #skipGap(): void {
    const next = this.#held.first();
    if (next) this.#expected = next.seq;
    this.#drain();
  }

  /** The wait was too long: from now on only a keyframe opens the gate. */
  #giveUpOrder(): void {
    const candidate = this.#candidates[0];
    if (candidate) return this.#openAtHeld(candidate.seq);
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

  /**
   * A packet of another sequence: the sender restarted if a second packet confirms it (RFC 3550 appendix A.1). The two may arrive in either
   * order, and both are kept.
   */
  #onJump(packet: UnconfirmedPacket<P>): void {
    const first = this.#unconfirmed;
    if (!first || !this.#followsUnconfirmed(packet.seq)) {
      this.#dropUnconfirmed();
      this.#unconfirmed = packet;
      return;
    }
    this.#unconfirmed = undefined;
    const inOrder = ((packet.seq - first.seq) & 0xffff) < 0x8000 ? [first, packet] : [packet, first];
    this.#restart(...(inOrder as [UnconfirmedPacket<P>, UnconfirmedPacket<P>]));
  }

  #followsUnconfirmed(seq: number): boolean {
    if (!this.#unconfirmed || seq === this.#unconfirmed.seq) return false;
    const distance = (seq - this.#unconfirmed.seq) & 0xffff;
    return distance <= MAX_CONFIRMING_DISTANCE || distance >= 0x1_0000 - MAX_CONFIRMING_DISTANCE;
  }

  /** Starts a new sequence with these packets, in order. */
  #restart(...packets: UnconfirmedPacket<P>[]): void {
    this.#isNewSource = false;
    if (this.#unconfirmed) this.#dropUnconfirmed();
    for (const held of this.#held.takeBelow(Infinity)) this.#actions.drop(held.packet, 'restart');
    this.#candidates = [];
    this.#late.run = 0;
    // Packets that the first one overtook may still arrive.
    this.#floor = this.#unwrapper.restart(packets[0]!.seq) - MAX_CONFIRMING_DISTANCE;
    this.#expected = undefined;
    this.#pausedSinceMs = this.#kind === 'video' ? packets[0]!.arrivedMs : Infinity;
    this.#actions.restarted();
    for (const { seq, marks, packet, bytes, hints, arrivedMs } of packets)
      this.push(seq, marks, packet, bytes, arrivedMs, hints & ~TIME_JUMPED);
  }

  #dropUnconfirmed(): void {
    if (this.#unconfirmed) this.#actions.drop(this.#unconfirmed.packet, 'restart');
    this.#unconfirmed = undefined;
  }

  #waitMs(): number {
    const waitMs = this.#rttMs === undefined ? MAX_ORDER_WAIT_MS : Math.min(10 * this.#rttMs, MAX_ORDER_WAIT_MS);
    return this.#kind === 'audio' ? waitMs : Math.max(waitMs, MIN_VIDEO_WAIT_MS);
  }

  #requestDueMs(): number {
    return Math.max(this.#pausedSinceMs + this.#waitMs(), this.#lastRequestMs + KEYFRAME_REPEAT_MS);
  }
}
