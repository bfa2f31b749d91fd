import { SEGMENT_HEADER_BYTES, SegmentCommand, serialDistance, writeSegmentHeader } from './segment.ts';

const INITIAL_SLOTS = 32;
/** Most acknowledgements pending for the next datagram; beyond this the peer retransmits and is acknowledged then. */
const MAX_PENDING_ACKS = 1024;

/** Most acknowledgements behind a gap that are sent twice. */
const MAX_REPEATED_ACKS = 16;

export type Arrival = 'new' | 'duplicate' | 'beyondWindow';

/**
 * Receiving half of a conversation, in one of two modes. Unordered: delivers each segment at once and gives up on a missing one after a deadline
 * by advancing nxt; any standard KCP sender accepts that as its `una`. Ordered: buffers payloads until the gap is filled, without a deadline.
 */
export class ReceiveConversation {
  readonly id: number;
  readonly window: number;
  nxt = 0;
  /** One past the highest serial seen. */
  top = 0;
  givenUp = 0;
  lastArrivalMs: number;
  /** In the acknowledgement scheduler's list. */
  listed = false;
  /** Evicted: its pending acknowledgements are not sent. */
  isForgotten = false;
  /** A window announcement is due, to tell the peer our una or window although nothing arrived. */
  announceWindow = false;
  private readonly ordered: boolean;
  private mask = INITIAL_SLOTS - 1;
  private received = new Uint8Array(INITIAL_SLOTS);
  private gapSinceMs = new Float64Array(INITIAL_SLOTS);
  private payload: (Buffer | undefined)[] = [];
  private fragment = new Uint8Array(INITIAL_SLOTS);
  private ackSerials: number[] = [];
  private ackTimes: number[] = [];
  /** Whether the segment was a duplicate: the earlier acknowledgement may be lost, or the sender ignores una. */
  private ackAgain: boolean[] = [];
  /** Serials behind a gap, acknowledged once already. `una` does not cover them, so the loss of one datagram would cause a retransmission of each. */
  private repeatSerials: number[] = [];
  private repeatTimes: number[] = [];

  constructor(id: number, window: number, ordered: boolean, nowMs: number) {
    this.id = id;
    this.window = window;
    this.ordered = ordered;
    this.lastArrivalMs = nowMs;
  }

  get hasGap(): boolean {
    return this.nxt !== this.top;
  }

  get pendingAcks(): number {
    return this.ackSerials.length;
  }

  /** When the receiver gives up on the oldest gap, ms. */
  gapDueMs(deadlineMs: number): number {
    return this.hasGap && !this.ordered ? this.gapSinceMs[this.nxt & this.mask]! + deadlineMs : Infinity;
  }

  accept(serial: number, timestamp: number, fragment: number, payload: Buffer | undefined, nowMs: number): Arrival {
    this.lastArrivalMs = nowMs;
    let ahead = serialDistance(this.nxt, serial);
    if (ahead >= this.window) {
      if (this.ordered) return 'beyondWindow';
      this.giveUpBelow((serial - this.window + 1) >>> 0);
      ahead = serialDistance(this.nxt, serial);
    }
    const isAgain = ahead < 0 || (serialDistance(serial, this.top) > 0 && this.received[serial & this.mask] !== 0);
    this.noteAck(serial, timestamp, isAgain);
    if (isAgain) return 'duplicate';
    while (ahead > this.mask) this.grow();
    if (serialDistance(this.top, serial) >= 0) this.raiseTop(serial, nowMs);
    const slot = serial & this.mask;
    this.received[slot] = 1;
    if (this.ordered) {
      this.payload[slot] = payload;
      this.fragment[slot] = fragment;
    } else {
      this.passReceived();
    }
    return 'new';
  }

  /** Ordered only: the next segment in order, or undefined. */
  takeNext(): { payload: Buffer; fragment: number } | undefined {
    const slot = this.nxt & this.mask;
    if (!this.hasGap || this.received[slot] === 0) return undefined;
    const segment = { payload: this.payload[slot]!, fragment: this.fragment[slot]! };
    this.payload[slot] = undefined;
    this.advance();
    return segment;
  }

  /** Gives up on segments missing for `deadlineMs`. True when nxt moved, so that a window announcement is due. */
  giveUpOverdue(nowMs: number, deadlineMs: number): boolean {
    const before = this.nxt;
    while (this.hasGap && this.gapDueMs(deadlineMs) <= nowMs) {
      this.skip();
      this.passReceived();
    }
    return this.nxt !== before;
  }

  /** The sender says that nothing below `serial` will come any more. */
  giveUpBelow(serial: number): void {
    const ahead = serialDistance(this.nxt, serial);
    if (ahead <= 0) return;
    if (ahead > this.window) {
      // The serial is beyond the ring: this half was evicted before, or joins late.
      this.received.fill(0);
      this.nxt = serial;
      this.top = serial;
      return;
    }
    while (ahead > this.mask) this.grow();
    if (serialDistance(this.top, serial) > 0) this.raiseTop((serial - 1) >>> 0, 0);
    while (this.nxt !== serial) {
      if (this.received[this.nxt & this.mask] === 0) this.skip();
      else this.advance();
    }
    this.passReceived();
  }

  /**
   * Writes pending acknowledgements that fit below `limit` and returns the offset behind them. Serials below nxt are covered by una, so only the
   * last of them gets an acknowledgement, for its timestamp. Acknowledgements behind a gap are sent twice.
   */
  writeAcks(out: Buffer, offset: number, limit: number): number {
    offset = this.repeatAcks(out, offset, limit);
    const { ackSerials, ackTimes, ackAgain } = this;
    const count = ackSerials.length;
    let lastCovered = count - 1;
    while (lastCovered >= 0 && (ackAgain[lastCovered] || serialDistance(this.nxt, ackSerials[lastCovered]!) >= 0)) lastCovered--;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const serial = ackSerials[i]!;
      if (i < lastCovered && !ackAgain[i] && serialDistance(this.nxt, serial) < 0) continue;
      if (offset + SEGMENT_HEADER_BYTES <= limit) {
        offset = this.writeEmpty(out, offset, SegmentCommand.ack, ackTimes[i]!, serial);
        this.announceWindow = false;
        if (serialDistance(this.nxt, serial) > 0 && this.repeatSerials.length < MAX_REPEATED_ACKS) {
          this.repeatSerials.push(serial);
          this.repeatTimes.push(ackTimes[i]!);
        }
      } else {
        // No room: it stays pending for the next datagram.
        ackSerials[kept] = serial;
        ackAgain[kept] = ackAgain[i]!;
        ackTimes[kept++] = ackTimes[i]!;
      }
    }
    ackSerials.length = ackTimes.length = ackAgain.length = kept;
    if (this.announceWindow && offset + SEGMENT_HEADER_BYTES <= limit) {
      offset = this.writeEmpty(out, offset, SegmentCommand.windowTell, 0, 0);
      this.announceWindow = false;
    }
    return offset;
  }

  private repeatAcks(out: Buffer, offset: number, limit: number): number {
    const { repeatSerials, repeatTimes } = this;
    for (let i = 0; i < repeatSerials.length && offset + SEGMENT_HEADER_BYTES <= limit; i++) {
      if (serialDistance(this.nxt, repeatSerials[i]!) <= 0) continue;
      offset = this.writeEmpty(out, offset, SegmentCommand.ack, repeatTimes[i]!, repeatSerials[i]!);
    }
    repeatSerials.length = repeatTimes.length = 0;
    return offset;
  }

  private noteAck(serial: number, timestamp: number, isAgain: boolean): void {
    if (this.ackSerials.length >= MAX_PENDING_ACKS) return;
    this.ackSerials.push(serial);
    this.ackTimes.push(timestamp);
    this.ackAgain.push(isAgain);
  }

  private writeEmpty(out: Buffer, offset: number, command: number, time: number, serial: number): number {
    return writeSegmentHeader(out, offset, this.id, command, 0, this.window, time, serial, this.nxt, 0);
  }

  private raiseTop(serial: number, nowMs: number): void {
    for (let missing = this.top; missing !== serial; missing = (missing + 1) >>> 0) this.gapSinceMs[missing & this.mask] = nowMs;
    this.gapSinceMs[serial & this.mask] = nowMs;
    this.top = (serial + 1) >>> 0;
  }

  private skip(): void {
    this.givenUp++;
    this.advance();
  }

  private advance(): void {
    this.received[this.nxt & this.mask] = 0;
    this.nxt = (this.nxt + 1) >>> 0;
  }

  private passReceived(): void {
    while (this.hasGap && this.received[this.nxt & this.mask] !== 0) this.advance();
  }

  private grow(): void {
    const oldMask = this.mask;
    const { received, gapSinceMs, payload, fragment } = this;
    this.mask = (oldMask + 1) * 2 - 1;
    this.received = new Uint8Array(this.mask + 1);
    this.gapSinceMs = new Float64Array(this.mask + 1);
    this.fragment = new Uint8Array(this.mask + 1);
    this.payload = [];
    for (let serial = this.nxt; serial !== this.top; serial = (serial + 1) >>> 0) {
      const [from, to] = [serial & oldMask, serial & this.mask];
      this.received[to] = received[from]!;
      this.gapSinceMs[to] = gapSinceMs[from]!;
      this.fragment[to] = fragment[from]!;
      this.payload[to] = payload[from];
    }
  }
}
