import type { RttEstimator } from './rtt.ts';
import { SegmentCommand, segmentTime, serialDistance, SEGMENT_HEADER_BYTES, writeSegmentHeader } from './segment.ts';

/** What KCP takes a peer's window to be until it has said so (IKCP_WND_RCV). */
export const UNTOLD_WINDOW = 128;
/** Fast resends of one segment, beyond which only the timeout counts (IKCP_FASTACK_LIMIT). */
const MAX_FAST_RESENDS = 5;
const MAX_SEGMENT_RTO_MS = 1_000;
const FIRST_SLOTS = 32;

/** Serials between una and nxt live in a ring of slots; arrays by field rather than an object each, so that a packet makes no garbage. */
export class SendConversation {
  readonly id: number;
  una = 0;
  nxt = 0;
  remoteWindow = UNTOLD_WINDOW;
  /** When `collectDue` has to look again. */
  dueMs = Infinity;
  /** Highest serial acknowledged within the datagram being read, for `fastAck`. */
  ackedTop = -1;
  /** The peer has to be told that segments below una will not come. */
  forwardPending = false;
  private readonly maxInFlight: number;
  private readonly rtt: RttEstimator;
  private mask = FIRST_SLOTS - 1;
  private payload: (Buffer | undefined)[] = new Array<Buffer | undefined>(FIRST_SLOTS).fill(undefined);
  private resendAtMs = new Float64Array(FIRST_SLOTS);
  private rtoMs = new Float64Array(FIRST_SLOTS);
  private deadlineMs = new Float64Array(FIRST_SLOTS);
  private sends = new Uint8Array(FIRST_SLOTS);
  private skips = new Uint8Array(FIRST_SLOTS);
  private fragment = new Uint8Array(FIRST_SLOTS);
  private queued = new Uint8Array(FIRST_SLOTS);

  constructor(id: number, maxInFlight: number, rtt: RttEstimator) {
    this.id = id;
    this.maxInFlight = maxInFlight;
    this.rtt = rtt;
  }

  get inFlight(): number {
    return serialDistance(this.una, this.nxt);
  }

  get hasRoom(): boolean {
    return this.inFlight < this.window;
  }

  /** Segments that may be under way at once. */
  get window(): number {
    return Math.min(this.maxInFlight, this.remoteWindow);
  }

  /** Gives the payload the next serial. It is referred to, not copied: the caller leaves it alone until it is acknowledged or overdue. */
  push(payload: Buffer, fragment: number, deadlineAtMs: number): number {
    if (this.inFlight > this.mask) this.grow();
    const serial = this.nxt;
    const slot = serial & this.mask;
    this.payload[slot] = payload;
    this.deadlineMs[slot] = deadlineAtMs;
    this.fragment[slot] = fragment;
    this.sends[slot] = 0;
    this.skips[slot] = 0;
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

  /** Writes the segment as sent now; returns the offset behind it. */
  write(serial: number, out: Buffer, offset: number, nowMs: number, ownWindow: number, ownUna: number): number {
    const slot = serial & this.mask;
    const payload = this.payload[slot]!;
    const rto =
      this.sends[slot] === 0 ? this.rtt.rtoMs : Math.min(MAX_SEGMENT_RTO_MS, Math.max(this.rtt.rtoMs, this.rtoMs[slot]! * 1.5));
    this.rtoMs[slot] = rto;
    this.resendAtMs[slot] = nowMs + rto;
    this.dueMs = Math.min(this.dueMs, nowMs + rto, this.deadlineMs[slot]!);
    if (this.sends[slot]! < 255) this.sends[slot]!++;
    this.skips[slot] = 0;
    this.queued[slot] = 0;
    const { length } = payload;
    const at = writeSegmentHeader(
      out,
      offset,
      this.id,
      SegmentCommand.push,
      this.fragment[slot]!,
      ownWindow,
      segmentTime(nowMs),
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
    if (freed <= 0 || freed > this.inFlight) return;
    while (this.una !== una) this.freeFirst();
    this.skipFreed();
  }

  acknowledge(serial: number): void {
    if (!this.isOutstanding(serial)) return;
    this.payload[serial & this.mask] = undefined;
    if (serial === this.una) this.skipFreed();
    if (this.ackedTop < 0 || serialDistance(this.ackedTop, serial) > 0) this.ackedTop = serial;
  }

  /** Counts one more acknowledgement that passed over older segments, once for each datagram as the reference does. */
  fastAck(fastResend: number): void {
    const top = this.ackedTop;
    this.ackedTop = -1;
    if (top < 0) return;
    for (let serial = this.una; serialDistance(serial, top) > 0; serial = (serial + 1) >>> 0) {
      const slot = serial & this.mask;
      if (this.payload[slot] === undefined || this.sends[slot] === 0) continue;
      const skips = ++this.skips[slot]!;
      if (skips >= fastResend && this.sends[slot]! <= MAX_FAST_RESENDS) this.dueMs = 0;
    }
  }

  /**
   * Hands each serial that has to be sent again to `resend`, once until it is written. With `mayAbandon`, segments past their deadline are
   * given up instead: their number is returned, and `forwardPending` says that una moved.
   */
  collectDue(
    nowMs: number,
    fastResend: number,
    mayAbandon: boolean,
    resend: (conversation: SendConversation, serial: number) => boolean,
  ): number {
    let abandoned = 0;
    let dueMs = Infinity;
    for (let serial = this.una; serial !== this.nxt; serial = (serial + 1) >>> 0) {
      const slot = serial & this.mask;
      if (this.payload[slot] === undefined || this.sends[slot] === 0) continue;
      if (mayAbandon && this.deadlineMs[slot]! <= nowMs) {
        this.payload[slot] = undefined;
        abandoned++;
        continue;
      }
      const fast = this.skips[slot]! >= fastResend && this.sends[slot]! <= MAX_FAST_RESENDS;
      if (this.queued[slot] === 0 && (fast || this.resendAtMs[slot]! <= nowMs)) {
        this.queued[slot] = resend(this, serial) ? 1 : 0;
      }
      if (this.queued[slot] === 0) dueMs = Math.min(dueMs, this.resendAtMs[slot]!);
      if (mayAbandon) dueMs = Math.min(dueMs, this.deadlineMs[slot]!);
    }
    this.dueMs = dueMs;
    if (abandoned > 0) {
      this.forwardPending = true;
      this.skipFreed();
    }
    return abandoned;
  }

  private freeFirst(): void {
    this.payload[this.una & this.mask] = undefined;
    this.una = (this.una + 1) >>> 0;
  }

  private skipFreed(): void {
    while (this.una !== this.nxt && this.payload[this.una & this.mask] === undefined) this.una = (this.una + 1) >>> 0;
  }

  private grow(): void {
    const slots = (this.mask + 1) * 2;
    const { mask, payload, resendAtMs, rtoMs, deadlineMs, sends, skips, fragment, queued } = this;
    const old = { mask, payload, resendAtMs, rtoMs, deadlineMs, sends, skips, fragment, queued };
    this.mask = slots - 1;
    this.payload = new Array<Buffer | undefined>(slots).fill(undefined);
    this.resendAtMs = new Float64Array(slots);
    this.rtoMs = new Float64Array(slots);
    this.deadlineMs = new Float64Array(slots);
    this.sends = new Uint8Array(slots);
    this.skips = new Uint8Array(slots);
    this.fragment = new Uint8Array(slots);
    this.queued = new Uint8Array(slots);
    for (let serial = this.una; serial !== this.nxt; serial = (serial + 1) >>> 0) {
      const [from, to] = [serial & old.mask, serial & this.mask];
      this.payload[to] = old.payload[from];
      this.resendAtMs[to] = old.resendAtMs[from]!;
      this.rtoMs[to] = old.rtoMs[from]!;
      this.deadlineMs[to] = old.deadlineMs[from]!;
      this.sends[to] = old.sends[from]!;
      this.skips[to] = old.skips[from]!;
      this.fragment[to] = old.fragment[from]!;
      this.queued[to] = old.queued[from]!;
    }
  }
}
