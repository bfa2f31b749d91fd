import { ControlAssembly, ControlQueue } from './control-messages.ts';
import { ReceiveConversations } from './receive-conversations.ts';
import { Reassembly } from './reassembly.ts';
import type { ReceiveConversation } from './receiver.ts';
import { RttEstimator } from './rtt.ts';
import {
  CONTROL_CONVERSATION,
  mediaFragment,
  SEGMENT_HEADER_BYTES,
  SegmentCommand,
  segmentTime,
  serialDistance,
  sinceSegmentTime,
} from './segment.ts';
import { type Recut, SendConversation, UNTOLD_WINDOW } from './sender.ts';
import { Tellings } from './tellings.ts';

const TIDY_MS = 10_000;
/** Conversations are looked over for what is due no more often than this. */
const SCAN_MS = 2;
const CONTROL_WINDOW = 512;
const WINDOW_PROBE_MS = 500;

export interface ArqKnobs {
  /** How long an acknowledgement may wait for company, ms. */
  intervalMs: number;
  /** Resend after so many datagrams acknowledged something newer. */
  fastResend: number;
  sendWindow: number;
  receiveWindow: number;
  /** A receiver gives a missing media segment up after this, ms. */
  deadlineMs: number;
}

export interface ArqHooks {
  onMedia: (conversation: number, payload: Buffer) => void;
  onControl: (message: Buffer) => void;
  /** Resends go through the scheduler, which writes them when their turn comes; false when it cannot take one now. */
  resend: (conversation: SendConversation, serial: number) => boolean;
  /** A segment does not get through, however often it is sent: it may be too large for the path. */
  stuck?: (nowMs: number) => void;
  /** A round trip was measured. */
  rtt?: (rttMs: number, nowMs: number) => void;
}

export interface ArqCounters {
  received: number;
  duplicates: number;
  beyondWindow: number;
  malformed: number;
  sent: number;
  resent: number;
  /** Of those resent, the ones that went to be sure beside another. */
  resentCopies: number;
  /** Of those resent, the ones whose earlier transmission came after all. */
  resentInVain: number;
  /** Given up by this sender, past their deadline. */
  abandoned: number;
  /** Given up by this receiver. */
  givenUp: number;
}

/** A media payload that has serials for all of its fragments; those from `serial` up to `end` are yet to be written. */
export interface StartedPayload {
  conversation: SendConversation;
  serial: number;
  end: number;
}

/** All KCP conversations of one trunk. Holds no clock: time comes in with each call. */
export class Arq {
  readonly rtt: RttEstimator;
  readonly counters: ArqCounters = {
    received: 0,
    duplicates: 0,
    beyondWindow: 0,
    malformed: 0,
    sent: 0,
    resent: 0,
    resentCopies: 0,
    resentInVain: 0,
    abandoned: 0,
    givenUp: 0,
  };
  /** The peer takes FORWARD, so overdue segments may be dropped here. */
  mayAbandon = false;
  /** How many times each resend goes. */
  resendCopies = 1;
  /** Window of the peer's media conversations, when the handshake told it; else what KCP assumes until a segment tells. */
  peerWindow: number | undefined;
  /** May be exchanged at any time; windows count for conversations that begin later. */
  knobs: ArqKnobs;
  private readonly hooks: ArqHooks;
  private readonly sends = new Map<number, SendConversation>();
  readonly reassembly = new Reassembly();
  private readonly receives = new ReceiveConversations();
  private readonly tellings = new Tellings();
  private readonly acked: SendConversation[] = [];
  private forwards: SendConversation[] = [];
  private readonly control: ControlQueue;
  private readonly assembly: ControlAssembly;
  /** No conversation has anything due before this; looking at all of them for each packet would cost more than the packets. */
  private scanDueMs = Infinity;
  private tidyMs = 0;
  private stamp = 0;
  private sampledStamp = 0;
  private ackedBytes = 0;
  private windowProbeMs = Infinity;

  /** `maxControlPayload`: of a segment of a control message, which cannot be cut anew and so must fit every path. */
  constructor(knobs: ArqKnobs, maxControlPayload: number, hooks: ArqHooks) {
    this.knobs = knobs;
    this.hooks = hooks;
    this.control = new ControlQueue(maxControlPayload);
    this.assembly = new ControlAssembly((message) => hooks.onControl(message));
    this.rtt = new RttEstimator(knobs.intervalMs);
  }

  /** Bytes of control messages that wait for their first sending. */
  get waitingControlBytes(): number {
    return this.control.bytes;
  }

  /** Acknowledgements are told once more, since so many datagrams are lost that each loss would have something sent again for nothing. */
  set repeatsAcks(repeats: boolean) {
    this.tellings.repeats = repeats;
  }

  /** Cuts a control message into segments. Throws a RangeError when it is longer than 255 segments. */
  queueControl(message: Buffer): void {
    this.control.push(message);
  }

  /** What is written from here on goes in one datagram: it gets a stamp that is later than all before it, by which losses are told. */
  beginDatagram(nowMs: number): void {
    const stamp = segmentTime(nowMs);
    this.stamp = serialDistance(this.stamp, stamp) > 0 ? stamp : (this.stamp + 1) >>> 0;
  }

  /** Size of the next control segment that may go now, with header; 0 when none may. */
  nextControlBytes(nowMs: number): number {
    const next = this.control.first;
    if (!next) return 0;
    const conversation = this.sendHalf(CONTROL_CONVERSATION);
    if (conversation.hasRoomFor(1)) return SEGMENT_HEADER_BYTES + next.payload.length;
    if (conversation.remoteWindow === 0 && this.windowProbeMs === Infinity) this.windowProbeMs = nowMs + WINDOW_PROBE_MS;
    return 0;
  }

  writeControl(out: Buffer, offset: number, nowMs: number): number {
    const { payload, fragment } = this.control.shift();
    const conversation = this.sendHalf(CONTROL_CONVERSATION);
    return this.writePush(conversation, conversation.push(payload, fragment, Infinity), out, offset, nowMs);
  }

  /** The window of a media conversation, and how much of it is taken, in segments. */
  mediaWindow(id: number): { segments: number; taken: number } {
    const conversation = this.sends.get(id);
    if (conversation) return { segments: conversation.window, taken: conversation.inFlight };
    return { segments: Math.min(this.knobs.sendWindow, this.peerWindow ?? UNTOLD_WINDOW), taken: 0 };
  }

  /** Writes a media payload as a new segment, or returns -1 when the window of its conversation is full. */
  writeMedia(id: number, payload: Buffer, deadlineAtMs: number, out: Buffer, offset: number, nowMs: number): number {
    const conversation = this.sendHalf(id);
    if (!conversation.hasRoomFor(1)) return -1;
    return this.writePush(conversation, conversation.push(payload, 0, deadlineAtMs), out, offset, nowMs);
  }

  /**
   * Cuts a media payload: `firstBytes` of it, then `maxBytes` each. Each fragment gets its serial now; they are written by `writeStarted`.
   * Undefined when the window of the conversation has no room for all of them.
   */
  startMedia(
    id: number,
    payload: Buffer,
    deadlineAtMs: number,
    firstBytes: number,
    maxBytes: number,
  ): StartedPayload | undefined {
    const conversation = this.sendHalf(id);
    const count = 1 + Math.ceil((payload.length - firstBytes) / maxBytes);
    if (!conversation.hasRoomFor(count)) return undefined;
    const serial = conversation.nxt;
    let from = 0;
    for (let before = 0; before < count; before++) {
      const to = Math.min(payload.length, firstBytes + before * maxBytes);
      conversation.push(payload.subarray(from, to), mediaFragment(before, count - 1 - before), deadlineAtMs, payload);
      from = to;
    }
    return { conversation, serial, end: conversation.nxt };
  }

  /** Writes the next fragment of a payload that was started. */
  writeStarted(started: StartedPayload, out: Buffer, offset: number, nowMs: number): number {
    const { conversation, serial } = started;
    started.serial = (serial + 1) >>> 0;
    return this.writePush(conversation, serial, out, offset, nowMs);
  }

  /** Gives up, of all media, what has a segment larger than this; it is for the caller to send it again in smaller ones. */
  takeTooLarge(maxPayload: number): Recut[] {
    const taken: Recut[] = [];
    for (const conversation of this.sends.values()) {
      if (conversation.id !== CONTROL_CONVERSATION) conversation.takeTooLarge(maxPayload, taken);
    }
    this.scanDueMs = -Infinity;
    return taken;
  }

  writeResend(conversation: SendConversation, serial: number, out: Buffer, offset: number, nowMs: number): number {
    this.counters.resent++;
    if (conversation.isCopy(serial)) this.counters.resentCopies++;
    return this.write(conversation, serial, out, offset, nowMs);
  }

  /** Whether something has to be told to the peer now. */
  wantsToTell(nowMs: number): boolean {
    return this.tellings.areDue(nowMs, this.knobs.intervalMs);
  }

  /** Writes pending acknowledgements below `limit`; returns the offset behind them. What does not fit stays. */
  writeTellings(out: Buffer, offset: number, limit: number, nowMs: number): number {
    return this.tellings.write(out, offset, limit, nowMs, this.knobs.intervalMs);
  }

  /** Conversations whose receiver has to hear that una moved though nothing was acknowledged. Emptied by the caller. */
  takeForwards(): SendConversation[] {
    const forwards = this.forwards;
    if (forwards.length > 0) this.forwards = [];
    return forwards;
  }

  receiveForward(id: number, serial: number, nowMs: number): void {
    if (id === CONTROL_CONVERSATION) return;
    const conversation = this.receiveHalf(id, nowMs);
    const before = conversation.givenUp;
    conversation.giveUpBelow(serial);
    this.counters.givenUp += conversation.givenUp - before;
    conversation.tellWindow = true;
    this.tell(conversation, nowMs);
  }

  /** Bytes of segments that the peer acknowledged since the last call. */
  takeAckedBytes(): number {
    const bytes = this.ackedBytes;
    this.ackedBytes = 0;
    return bytes;
  }

  /** Reads concatenated segments. False when they are malformed; those before the bad one count. */
  receive(bytes: Buffer, nowMs: number): boolean {
    let offset = 0;
    let sound = true;
    while (offset < bytes.length) {
      const next = this.receiveSegment(bytes, offset, nowMs);
      if (next < 0) {
        this.counters.malformed++;
        sound = false;
        break;
      }
      offset = next;
    }
    for (const conversation of this.acked) {
      conversation.listed = false;
      conversation.fastAck(this.knobs.fastResend);
      this.scanDueMs = Math.min(this.scanDueMs, conversation.dueMs);
    }
    this.acked.length = 0;
    return sound;
  }

  /** Resends and gives up what is due. */
  service(nowMs: number): void {
    if (nowMs >= this.windowProbeMs) this.probeWindow();
    this.tellings.repeat(nowMs, this.knobs.intervalMs);
    if (nowMs >= this.tidyMs) {
      this.tidyMs = nowMs + TIDY_MS;
      this.receives.tidy(nowMs);
      // What is missing was given up by then.
      this.reassembly.dropBefore(nowMs - 2 * this.knobs.deadlineMs);
    }
    if (nowMs < this.scanDueMs) return;
    let dueMs = Infinity;
    for (const conversation of this.sends.values()) {
      if (conversation.dueMs <= nowMs) this.serviceSend(conversation, nowMs);
      dueMs = Math.min(dueMs, conversation.dueMs);
    }
    for (const conversation of this.receives.values()) {
      if (conversation.gapDueMs(this.knobs.deadlineMs) <= nowMs) this.serviceReceive(conversation, nowMs);
      dueMs = Math.min(dueMs, conversation.gapDueMs(this.knobs.deadlineMs));
    }
    this.scanDueMs = Math.max(dueMs, nowMs + SCAN_MS);
  }

  /** When `service` or `writeTellings` has work again. */
  nextDueMs(nowMs: number): number {
    return Math.max(Math.min(this.tellings.nextDueMs, this.windowProbeMs, this.scanDueMs), nowMs + 1);
  }

  /** Forgets a conversation. Its number must not be used again on this trunk before the next 'lost'. */
  close(id: number): void {
    this.sends.delete(id);
    const receive = this.receives.remove(id);
    if (receive) this.tellings.remove(receive);
  }

  private serviceSend(conversation: SendConversation, nowMs: number): void {
    const mayAbandon = this.mayAbandon && conversation.id !== CONTROL_CONVERSATION;
    this.counters.abandoned += conversation.collectDue(nowMs, this.knobs.fastResend, mayAbandon, this.hooks.resend);
    if (conversation.isStuck) {
      conversation.isStuck = false;
      this.hooks.stuck?.(nowMs);
    }
    if (!conversation.forwardPending) return;
    conversation.forwardPending = false;
    this.forwards.push(conversation);
  }

  private serviceReceive(conversation: ReceiveConversation, nowMs: number): void {
    const before = conversation.givenUp;
    if (!conversation.giveUpOverdue(nowMs, this.knobs.deadlineMs)) return;
    this.counters.givenUp += conversation.givenUp - before;
    conversation.tellWindow = true;
    this.tell(conversation, nowMs);
  }

  private receiveSegment(bytes: Buffer, offset: number, nowMs: number): number {
    if (offset + SEGMENT_HEADER_BYTES > bytes.length) return -1;
    const id = bytes.readUInt32LE(offset);
    const command = bytes[offset + 4]!;
    const start = offset + SEGMENT_HEADER_BYTES;
    const end = start + bytes.readUInt32LE(offset + 20);
    if (end > bytes.length || command < SegmentCommand.push || command > SegmentCommand.windowTell) return -1;
    const timestamp = bytes.readUInt32LE(offset + 8);
    const serial = bytes.readUInt32LE(offset + 12);
    const send = this.sends.get(id);
    if (send) {
      send.remoteWindow = bytes.readUInt16LE(offset + 6);
      send.acknowledgeBelow(bytes.readUInt32LE(offset + 16));
      if (command === SegmentCommand.ack) this.receiveAck(send, serial, timestamp, nowMs);
      this.ackedBytes += send.ackedBytes;
      send.ackedBytes = 0;
    }
    if (command === SegmentCommand.push)
      this.receivePush(id, serial, timestamp, bytes[offset + 5]!, bytes.subarray(start, end), nowMs);
    else if (command === SegmentCommand.windowAsk) {
      const receive = this.receiveHalf(id, nowMs);
      receive.tellWindow = true;
      this.tell(receive, nowMs);
    }
    return end;
  }

  private receiveAck(send: SendConversation, serial: number, timestamp: number, nowMs: number): void {
    const rttMs = sinceSegmentTime(timestamp, nowMs);
    // An acknowledgement may be told again, later: only the newest says how long the way takes.
    if (rttMs >= 0 && rttMs < 10_000 && serialDistance(this.sampledStamp, timestamp) > 0) {
      this.sampledStamp = timestamp;
      this.rtt.sample(rttMs);
      this.hooks.rtt?.(rttMs, nowMs);
    }
    if (send.acknowledge(serial, timestamp)) this.counters.resentInVain++;
    if (send.listed) return;
    send.listed = true;
    this.acked.push(send);
  }

  private receivePush(id: number, serial: number, timestamp: number, fragment: number, payload: Buffer, nowMs: number): void {
    const conversation = this.receiveHalf(id, nowMs);
    const givenUp = conversation.givenUp;
    const arrival = conversation.accept(serial, timestamp, fragment, payload, nowMs);
    this.counters.givenUp += conversation.givenUp - givenUp;
    if (conversation.hasGap) this.scanDueMs = Math.min(this.scanDueMs, conversation.gapDueMs(this.knobs.deadlineMs));
    this.tell(conversation, nowMs);
    if (arrival === 'duplicate') this.counters.duplicates++;
    else if (arrival === 'beyondWindow') this.counters.beyondWindow++;
    else {
      this.counters.received++;
      if (id === CONTROL_CONVERSATION) this.assembly.drain(conversation);
      else if (fragment === 0) this.hooks.onMedia(id, payload);
      else this.receiveFragment(id, serial, fragment, payload, nowMs);
    }
  }

  private receiveFragment(id: number, serial: number, fragment: number, part: Buffer, nowMs: number): void {
    const payload = this.reassembly.add(id, serial, fragment, part, nowMs);
    if (payload) this.hooks.onMedia(id, payload);
  }

  private tell(conversation: ReceiveConversation, nowMs: number): void {
    this.tellings.add(conversation, conversation.id === CONTROL_CONVERSATION, nowMs, this.knobs.intervalMs);
  }

  /** A peer that closed its window opens it in an answer to something: one segment, as TCP's zero-window probe. */
  private probeWindow(): void {
    this.windowProbeMs = Infinity;
    const control = this.sends.get(CONTROL_CONVERSATION);
    if (control?.remoteWindow === 0) control.remoteWindow = 1;
  }

  private writePush(conversation: SendConversation, serial: number, out: Buffer, offset: number, nowMs: number): number {
    this.counters.sent++;
    return this.write(conversation, serial, out, offset, nowMs);
  }

  private write(conversation: SendConversation, serial: number, out: Buffer, offset: number, nowMs: number): number {
    const receive = this.receives.find(conversation.id);
    const window = receive?.window ?? this.windowOf(conversation.id);
    const end = conversation.write(serial, out, offset, nowMs, this.stamp, this.resendCopies, window, receive?.nxt ?? 0);
    this.scanDueMs = Math.min(this.scanDueMs, conversation.dueMs);
    return end;
  }

  private sendHalf(id: number): SendConversation {
    let conversation = this.sends.get(id);
    if (!conversation) {
      conversation = new SendConversation(id, id === CONTROL_CONVERSATION ? CONTROL_WINDOW : this.knobs.sendWindow, this.rtt);
      if (this.peerWindow !== undefined && id !== CONTROL_CONVERSATION) conversation.remoteWindow = this.peerWindow;
      this.sends.set(id, conversation);
    }
    return conversation;
  }

  private receiveHalf(id: number, nowMs: number): ReceiveConversation {
    return this.receives.at(id, this.windowOf(id), nowMs);
  }

  private windowOf(id: number): number {
    return id === CONTROL_CONVERSATION ? CONTROL_WINDOW : this.knobs.receiveWindow;
  }
}
