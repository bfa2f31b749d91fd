import type { RttEstimator } from './rtt.ts';
import {
  fragmentsAfter,
  fragmentsBefore,
  SegmentCommand,
  serialDistance,
  SEGMENT_HEADER_BYTES,
  writeSegmentHeader,
} from './segment.ts';

/** The window that KCP assumes until the peer announces its own (IKCP_WND_RCV), segments. */
export const DEFAULT_REMOTE_WINDOW = 128;
/** Fast retransmissions of one segment, beyond which only the timeout counts (IKCP_FASTACK_LIMIT). */
const MAX_FAST_RETRANSMISSIONS = 5;
const MAX_SEGMENT_RTO_MS = 1_000;
/** Spacing of the copies of one retransmission, so that a short loss burst does not hit all of them. */
const COPY_SPACING_MS = 5;
/** FORWARD is sent at most this many times until the peer's una confirms it. */
const MAX_FORWARDS = 4;
/** A segment lost in this many rounds of transmission may be too large for the path. */
const STUCK_SENDS = 3;
const INITIAL_SLOTS = 32;

/** A media payload that has to be fragmented again, for a smaller path MTU. */
export interface Recut {
  conversation: number;
  payload: Buffer;
  deadlineMs: number;
}

/** Sending half of a conversation. Serials between una and nxt occupy a ring of slots, one array for each field, so that a packet allocates nothing. */
export class SendConversation {
  readonly id: number;
  una = 0;
  nxt = 0;
  remoteWindow = DEFAULT_REMOTE_WINDOW;
  /** When `collectDue` has work, ms. */
  dueMs = Infinity;
  /** In its owner's list of conversations that the current datagram acknowledged. */
  listed = false;
  /** Bytes acknowledged since its owner reset this. */
  ackedBytes = 0;
  /** A FORWARD is due: segments below una will not come. */
  forwardPending = false;
  /** A segment was lost in several rounds of transmission, or up to its deadline. Reset by its owner. */
  isStuck = false;
  private forwardsLeft = 0;
  private forwardAgainMs = Infinity;
  /** Newest timestamp acknowledged in the current datagram, for `fastAck`. */
  private ackedStamp = 0;
  private readonly maxInFlight: number;
  private readonly rtt: RttEstimator;
  private mask = INITIAL_SLOTS - 1;
  private payload: (Buffer | undefined)[] = new Array<Buffer | undefined>(INITIAL_SLOTS).fill(undefined);
  /** The payload that a fragment was cut from. */
  private whole: (Buffer | undefined)[] = new Array<Buffer | undefined>(INITIAL_SLOTS).fill(undefined);
  private retransmitAtMs = new Float64Array(INITIAL_SLOTS);
  private rtoMs = new Float64Array(INITIAL_SLOTS);
  private deadlineMs = new Float64Array(INITIAL_SLOTS);
  private sends = new Uint8Array(INITIAL_SLOTS);
  private skips = new Uint8Array(INITIAL_SLOTS);
  private stamp = new Uint32Array(INITIAL_SLOTS);
  private copies = new Uint8Array(INITIAL_SLOTS);
  private fragment = new Uint8Array(INITIAL_SLOTS);
  private queued = new Uint8Array(INITIAL_SLOTS);

  constructor(id: number, maxInFlight: number, rtt: RttEstimator) {
    this.id = id;
    this.maxInFlight = maxInFlight;
    this.rtt = rtt;
  }

  get inFlight(): number {
    return serialDistance(this.una, this.nxt);
  }

  /** Whether the window has room for this many more segments. */
  hasRoomFor(segments: number): boolean {
    return this.inFlight + segments <= this.window;
  }

  /** Most segments in flight. */
  get window(): number {
    return Math.min(this.maxInFlight, this.remoteWindow);
  }

  /** Gives the payload the next serial. It is not copied: the caller must not write to it. */
  push(payload: Buffer, fragment: number, deadlineAtMs: number, whole?: Buffer): number {
    if (this.inFlight > this.mask) this.grow();
    const serial = this.nxt;
    const slot = serial & this.mask;
    this.payload[slot] = payload;
    this.whole[slot] = whole;
    this.deadlineMs[slot] = deadlineAtMs;
    this.fragment[slot] = fragment;
    this.sends[slot] = 0;
    this.skips[slot] = 0;
    this.copies[slot] = 0;
    this.queued[slot] = 0;
    this.nxt = (serial + 1) >>> 0;
    return serial;
  }

  isOutstanding(serial: number): boolean {
    return (
      serialDistance(this.una, serial) >= 0 &&
      serialDistance(serial, this.nxt) > 0 &&
      this.payload[serial & this.mask] !== undefined
    );
  }

  /** Bytes that `write` takes for this segment. */
  sizeOf(serial: number): number {
    return SEGMENT_HEADER_BYTES + this.payload[serial & this.mask]!.length;
  }

  /** Whether the next `write` of this serial is an extra copy of a retransmission. */
  isCopy(serial: number): boolean {
    return this.copies[serial & this.mask]! > 0;
  }

  /**
   * Writes the segment and arms its retransmission timer; returns the offset behind it. `stamp`: its `ts`, which grows with each datagram. Of a
   * retransmission `retransmissionCopies` are sent a few ms apart, since there is no time to retransmit again.
   */
  write(
    serial: number,
    out: Buffer,
    offset: number,
    nowMs: number,
    stamp: number,
    retransmissionCopies: number,
    ownWindow: number,
    ownUna: number,
  ): number {
    const slot = serial & this.mask;
    const payload = this.payload[slot]!;
    if (this.copies[slot]! > 0) this.copies[slot]!--;
    else this.beginRound(slot, retransmissionCopies);
    const waitMs = this.copies[slot]! > 0 ? COPY_SPACING_MS : this.rtoMs[slot]!;
    this.retransmitAtMs[slot] = nowMs + waitMs;
    this.dueMs = Math.min(this.dueMs, nowMs + waitMs, this.deadlineMs[slot]!);
    this.skips[slot] = 0;
    this.stamp[slot] = stamp;
    this.queued[slot] = 0;
    const { length } = payload;
    const at = writeSegmentHeader(
      out,
      offset,
      this.id,
      SegmentCommand.push,
      this.fragment[slot]!,
      ownWindow,
      stamp,
      serial,
      ownUna,
      length,
    );
    payload.copy(out, at);
    return at + length;
  }

  /** Frees everything below `una`. Anything outside what was sent is a lie or very old: ignored. */
  acknowledgeBelow(una: number): void {
    const freed = serialDistance(this.una, una);
    if (freed >= 0) this.forwardsLeft = 0;
    if (freed <= 0 || freed > this.inFlight) return;
    while (this.una !== una) this.freeFirst();
    this.skipFreed();
  }

  /** `stamp`: of the transmission that arrived. Whether that was not the last one, so that a retransmission was for nothing. */
  acknowledge(serial: number, stamp: number): boolean {
    if (!this.listed || serialDistance(this.ackedStamp, stamp) > 0) this.ackedStamp = stamp;
    if (!this.isOutstanding(serial)) return false;
    const slot = serial & this.mask;
    this.ackedBytes += SEGMENT_HEADER_BYTES + this.payload[slot]!.length;
    this.payload[slot] = undefined;
    if (serial === this.una) this.skipFreed();
    return this.sends[slot]! > 1 && this.stamp[slot] !== stamp;
  }

  /**
   * Counts one more acknowledgement, once for each datagram as the reference does, against what was sent before the transmission that it
   * tells of. By the time of sending and not by serial, as the reference has it, since a segment that was just sent again says nothing
   * when what was under way before it is acknowledged (RACK, RFC 8985).
   */
  fastAck(fastResend: number): void {
    for (let serial = this.una; serial !== this.nxt; serial = (serial + 1) >>> 0) {
      const slot = serial & this.mask;
      if (this.payload[slot] === undefined || this.sends[slot] === 0) continue;
      if (serialDistance(this.stamp[slot]!, this.ackedStamp) <= 0) {
        // Behind the first sending of this one all others are newer still.
        if (this.sends[slot] === 1) return;
        continue;
      }
      const skips = ++this.skips[slot]!;
      if (skips >= fastResend && this.mayRetransmitFast(slot)) this.dueMs = 0;
    }
  }

  /**
   * Hands each serial that has to be sent again to `retransmit`, once until it is written. With `mayAbandon`, segments past their deadline are
   * given up instead: their number is returned, and `forwardPending` says that una moved.
   */
  collectDue(
    nowMs: number,
    fastResend: number,
    mayAbandon: boolean,
    retransmit: (conversation: SendConversation, serial: number) => boolean,
  ): number {
    let abandoned = 0;
    let dueMs = Infinity;
    for (let serial = this.una; serial !== this.nxt; serial = (serial + 1) >>> 0) {
      const slot = serial & this.mask;
      if (this.payload[slot] === undefined) continue;
      if (mayAbandon && this.deadlineMs[slot]! <= nowMs) {
        this.payload[slot] = undefined;
        this.isStuck ||= this.sends[slot]! > 1;
        abandoned++;
        continue;
      }
      if (this.sends[slot] === 0) {
        // The rest of a payload that is being sent: it goes as soon as the rate allows.
        if (mayAbandon) dueMs = Math.min(dueMs, this.deadlineMs[slot]!);
        continue;
      }
      const fast = this.skips[slot]! >= fastResend && this.mayRetransmitFast(slot);
      if (this.queued[slot] === 0 && (fast || this.retransmitAtMs[slot]! <= nowMs)) {
        this.queued[slot] = retransmit(this, serial) ? 1 : 0;
        this.isStuck ||= this.sends[slot]! >= STUCK_SENDS;
      }
      if (this.queued[slot] === 0) dueMs = Math.min(dueMs, this.retransmitAtMs[slot]!);
      if (mayAbandon) dueMs = Math.min(dueMs, this.deadlineMs[slot]!);
    }
    if (abandoned > 0) {
      this.skipFreed();
      this.forwardsLeft = MAX_FORWARDS;
    }
    this.forward(nowMs, abandoned > 0);
    this.dueMs = this.forwardsLeft > 0 ? Math.min(dueMs, this.forwardAgainMs) : dueMs;
    return abandoned;
  }

  /** Gives up every payload of which a segment is larger than `maxPayload`, for it to be cut anew: no path takes them as they are. */
  takeTooLarge(maxPayload: number, into: Recut[]): void {
    const before = into.length;
    for (let serial = this.una; serial !== this.nxt; serial = (serial + 1) >>> 0) {
      const slot = serial & this.mask;
      const part = this.payload[slot];
      if (part === undefined || part.length <= maxPayload) continue;
      into.push({ conversation: this.id, payload: this.whole[slot] ?? part, deadlineMs: this.deadlineMs[slot]! });
      const fragment = this.fragment[slot]!;
      for (let at = -fragmentsBefore(fragment); at <= fragmentsAfter(fragment); at++) this.drop((serial + at) >>> 0);
    }
    if (into.length === before) return;
    this.skipFreed();
    this.forwardsLeft = MAX_FORWARDS;
    this.forwardAgainMs = -Infinity;
    this.dueMs = -Infinity;
  }

  private drop(serial: number): void {
    if (this.isOutstanding(serial)) this.payload[serial & this.mask] = undefined;
  }

  private forward(nowMs: number, moved: boolean): void {
    if (this.forwardsLeft === 0 || (!moved && nowMs < this.forwardAgainMs)) return;
    this.forwardPending = true;
    this.forwardsLeft--;
    this.forwardAgainMs = nowMs + this.rtt.rtoMs;
  }

  private mayRetransmitFast(slot: number): boolean {
    return this.copies[slot] === 0 && this.sends[slot]! <= MAX_FAST_RETRANSMISSIONS;
  }

  private beginRound(slot: number, retransmissionCopies: number): void {
    const { rtoMs } = this.rtt;
    const isFirst = this.sends[slot] === 0;
    this.rtoMs[slot] = isFirst ? rtoMs : Math.min(MAX_SEGMENT_RTO_MS, Math.max(rtoMs, this.rtoMs[slot]! * 1.5));
    if (!isFirst) this.copies[slot] = retransmissionCopies - 1;
    if (this.sends[slot]! < 255) this.sends[slot]!++;
  }

  private freeFirst(): void {
    const slot = this.una & this.mask;
    const payload = this.payload[slot];
    if (payload) this.ackedBytes += SEGMENT_HEADER_BYTES + payload.length;
    this.payload[slot] = undefined;
    this.una = (this.una + 1) >>> 0;
  }

  private skipFreed(): void {
    while (this.una !== this.nxt && this.payload[this.una & this.mask] === undefined) this.una = (this.una + 1) >>> 0;
  }

  private grow(): void {
    const slots = (this.mask + 1) * 2;
    const { mask, payload, whole, retransmitAtMs, rtoMs, deadlineMs, sends, skips, stamp, copies, fragment, queued } = this;
    const old = { mask, payload, whole, retransmitAtMs, rtoMs, deadlineMs, sends, skips, stamp, copies, fragment, queued };
    this.mask = slots - 1;
    this.payload = new Array<Buffer | undefined>(slots).fill(undefined);
    this.whole = new Array<Buffer | undefined>(slots).fill(undefined);
    this.retransmitAtMs = new Float64Array(slots);
    this.rtoMs = new Float64Array(slots);
    this.deadlineMs = new Float64Array(slots);
    this.sends = new Uint8Array(slots);
    this.skips = new Uint8Array(slots);
    this.stamp = new Uint32Array(slots);
    this.copies = new Uint8Array(slots);
    this.fragment = new Uint8Array(slots);
    this.queued = new Uint8Array(slots);
    for (let serial = this.una; serial !== this.nxt; serial = (serial + 1) >>> 0) {
      const [from, to] = [serial & old.mask, serial & this.mask];
      this.payload[to] = old.payload[from];
      this.whole[to] = old.whole[from];
      this.retransmitAtMs[to] = old.retransmitAtMs[from]!;
      this.rtoMs[to] = old.rtoMs[from]!;
      this.deadlineMs[to] = old.deadlineMs[from]!;
      this.sends[to] = old.sends[from]!;
      this.skips[to] = old.skips[from]!;
      this.stamp[to] = old.stamp[from]!;
      this.copies[to] = old.copies[from]!;
      this.fragment[to] = old.fragment[from]!;
      this.queued[to] = old.queued[from]!;
    }
  }
}
