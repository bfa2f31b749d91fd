import { SEGMENT_HEADER_BYTES, SegmentCommand, serialDistance, writeSegmentHeader } from './segment.ts';

const FIRST_SLOTS = 32;
/** Acknowledgements remembered until the next datagram goes; beyond, the peer resends and is acknowledged then. */
const MAX_PENDING_ACKS = 1024;

/** Of those behind a gap so many are told twice. */
const MAX_TOLD = 16;

export type Arrival = 'new' | 'duplicate' | 'beyondWindow';

/**
 * Receiving half of a conversation. Two ways to treat a gap: `unordered` hands everything over at once and gives a missing segment up after
 * a deadline, by advancing nxt, whose value (`una` on the wire) frees any standard sender; `ordered` waits for ever and keeps payloads.
 */
export class ReceiveConversation {
  readonly id: number;
  readonly window: number;
  nxt = 0;
  /** One past the highest serial seen. */
  top = 0;
  givenUp = 0;
  lastArrivalMs: number;
  /** Is in its owner's list of those that have something to tell the peer. */
  listed = false;
  /** Has made room for another; what it still had to tell is not told. */
  isForgotten = false;
  /** The peer has to hear our una or window though nothing arrived. */
  tellWindow = false;
  private readonly ordered: boolean;
  private mask = FIRST_SLOTS - 1;
  private received = new Uint8Array(FIRST_SLOTS);
  private gapSinceMs = new Float64Array(FIRST_SLOTS);
  private payload: (Buffer | undefined)[] = [];
  private fragment = new Uint8Array(FIRST_SLOTS);
  private ackSerials: number[] = [];
  private ackTimes: number[] = [];
  /** Of the pending ones: came again, so the acknowledgement before may be lost, or its sender heeds no una. */
  private ackAgain: boolean[] = [];
  /** Behind a gap, told once already: `una` does not cover them, so that one lost datagram would have all of them sent again. */
  private toldSerials: number[] = [];
  private toldTimes: number[] = [];

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

  /** When the oldest gap is due to be given up. */
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

  /** Gives up what has been missing for `deadlineMs`; whether nxt moved, so that the peer has to be told. */
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
      // Nothing in the ring is near: the conversation was forgotten here, or starts late.
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
   * Writes what has to be acknowledged, as far as it fits below `limit`, and returns the offset behind it. Serials below nxt need no segment
   * of their own, since every segment's una says as much: of those only the last goes, for its timestamp. Those behind a gap go twice.
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
        this.tellWindow = false;
        if (serialDistance(this.nxt, serial) > 0 && this.toldSerials.length < MAX_TOLD) {
          this.toldSerials.push(serial);
          this.toldTimes.push(ackTimes[i]!);
        }
      } else {
        // Not enough room: the next datagram takes it.
        ackSerials[kept] = serial;
        ackAgain[kept] = ackAgain[i]!;
        ackTimes[kept++] = ackTimes[i]!;
      }
    }
    ackSerials.length = ackTimes.length = ackAgain.length = kept;
    if (this.tellWindow && offset + SEGMENT_HEADER_BYTES <= limit) {
      offset = this.writeEmpty(out, offset, SegmentCommand.windowTell, 0, 0);
      this.tellWindow = false;
    }
    return offset;
  }

  private repeatAcks(out: Buffer, offset: number, limit: number): number {
    const { toldSerials, toldTimes } = this;
    for (let i = 0; i < toldSerials.length && offset + SEGMENT_HEADER_BYTES <= limit; i++) {
      if (serialDistance(this.nxt, toldSerials[i]!) <= 0) continue;
      offset = this.writeEmpty(out, offset, SegmentCommand.ack, toldTimes[i]!, toldSerials[i]!);
    }
    toldSerials.length = toldTimes.length = 0;
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
