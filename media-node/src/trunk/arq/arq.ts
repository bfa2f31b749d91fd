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
import { type Recut, SendConversation, DEFAULT_REMOTE_WINDOW } from './sender.ts';
import { AcknowledgementScheduler } from './acknowledgements.ts';

const TIDY_MS = 10_000;
/** Least time between two scans of the conversations for due work. */
const SCAN_MS = 2;
const CONTROL_WINDOW = 512;
const WINDOW_PROBE_MS = 500;

export interface ArqSettings {
  /** How long an acknowledgement may be delayed to share a datagram, ms. */
  intervalMs: number;
  /** Retransmit after this many datagrams acknowledged something newer. */
  fastResend: number;
  sendWindow: number;
  receiveWindow: number;
  /** A receiver gives up on a missing media segment after this time, ms. */
  deadlineMs: number;
}

export interface ArqHooks {
  onMedia: (conversation: number, payload: Buffer) => void;
  onControl: (message: Buffer) => void;
  /** Queues a retransmission, which the outbox writes when its turn comes; false when the queue is full. */
  retransmit: (conversation: SendConversation, serial: number) => boolean;
  /** A segment was lost several times in a row: it may be too large for the path. */
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
  retransmitted: number;
  /** Retransmissions that were extra copies of another one. */
  retransmittedCopies: number;
  /** Retransmissions of segments whose earlier transmission had arrived. */
  spuriousRetransmissions: number;
  /** Segments that this sender abandoned past their deadline. */
  abandoned: number;
  /** Segments that this receiver gave up on. */
  givenUp: number;
}

/** A media payload whose fragments all have serials; those from `serial` up to `end` (exclusive) are not yet written. */
export interface StartedPayload {
  conversation: SendConversation;
  serial: number;
  end: number;
}

/** All KCP conversations of one trunk. It has no clock: the caller passes the time in. */
export class Arq {
  readonly rtt: RttEstimator;
  readonly counters: ArqCounters = {
    received: 0,
    duplicates: 0,
    beyondWindow: 0,
    malformed: 0,
    sent: 0,
    retransmitted: 0,
    retransmittedCopies: 0,
    spuriousRetransmissions: 0,
    abandoned: 0,
    givenUp: 0,
  };
  /** The peer understands FORWARD, so the sender may abandon overdue segments. */
  mayAbandon = false;
  /** Number of copies of each retransmission. */
  retransmissionCopies = 1;
  /** Window of the peer's media conversations from the handshake, segments; undefined: KCP's default until a segment announces it. */
  peerWindow: number | undefined;
  /** May be replaced at any time; new window sizes apply to conversations that begin later. */
  settings: ArqSettings;
  private readonly hooks: ArqHooks;
  private readonly sends = new Map<number, SendConversation>();
  readonly reassembly = new Reassembly();
  private readonly receives = new ReceiveConversations();
  private readonly acknowledgements = new AcknowledgementScheduler();
  private readonly acked: SendConversation[] = [];
  private forwards: SendConversation[] = [];
  private readonly control: ControlQueue;
  private readonly assembly: ControlAssembly;
  /** No conversation has work due before this time: a scan for each packet would cost more than the packet. */
  private scanDueMs = Infinity;
  private tidyMs = 0;
  private stamp = 0;
  private sampledStamp = 0;
  private ackedBytes = 0;
  private pushedBytes = 0;
  private windowProbeMs = Infinity;

  /** `maxControlPayload`: bytes of a control segment. Control segments cannot be cut again, so they must fit every path. */
  constructor(settings: ArqSettings, maxControlPayload: number, hooks: ArqHooks) {
    this.settings = settings;
    this.hooks = hooks;
    this.control = new ControlQueue(maxControlPayload);
    this.assembly = new ControlAssembly((message) => hooks.onControl(message));
    this.rtt = new RttEstimator(settings.intervalMs);
  }

  /** Bytes of control messages that wait for their first transmission. */
  get waitingControlBytes(): number {
    return this.control.bytes;
  }

  /** Sends each acknowledgement twice, for lossy paths: a lost acknowledgement causes a spurious retransmission. */
  set repeatsAcks(repeats: boolean) {
    this.acknowledgements.repeats = repeats;
  }

  /** Cuts a control message into segments. Throws a RangeError when it is longer than 255 segments. */
  queueControl(message: Buffer): void {
    this.control.push(message);
  }

  /** Begins a datagram. Its segments share a timestamp later than all before, from which the sender detects losses. */
  beginDatagram(nowMs: number): void {
    const stamp = segmentTime(nowMs);
    this.stamp = serialDistance(this.stamp, stamp) > 0 ? stamp : (this.stamp + 1) >>> 0;
  }

  /** Size of the next control segment that may be sent now, with header; 0 when there is none. */
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

  /** A media conversation's window and how much of it is in use, in segments. */
  mediaWindow(id: number): { segments: number; taken: number } {
    const conversation = this.sends.get(id);
    if (conversation) return { segments: conversation.window, taken: conversation.inFlight };
    return { segments: Math.min(this.settings.sendWindow, this.peerWindow ?? DEFAULT_REMOTE_WINDOW), taken: 0 };
  }

  /** Writes a media payload as a new segment, or returns -1 when the window of its conversation is full. */
  writeMedia(id: number, payload: Buffer, deadlineAtMs: number, out: Buffer, offset: number, nowMs: number): number {
    const conversation = this.sendHalf(id);
    if (!conversation.hasRoomFor(1)) return -1;
    return this.writePush(conversation, conversation.push(payload, 0, deadlineAtMs), out, offset, nowMs);
  }

  /**
   * Cuts a media payload into fragments: `firstBytes`, then `maxBytes` each. All fragments get their serials now; `writeStarted` writes them.
   * Undefined when the conversation's window has no room for all of them.
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

  /** Writes the next fragment of a started payload. */
  writeStarted(started: StartedPayload, out: Buffer, offset: number, nowMs: number): number {
    const { conversation, serial } = started;
    started.serial = (serial + 1) >>> 0;
    return this.writePush(conversation, serial, out, offset, nowMs);
  }

  /** Withdraws all media payloads with a segment larger than this; the caller sends them again in smaller segments. */
  takeTooLarge(maxPayload: number): Recut[] {
    const taken: Recut[] = [];
    for (const conversation of this.sends.values()) {
      if (conversation.id !== CONTROL_CONVERSATION) conversation.takeTooLarge(maxPayload, taken);
    }
    this.scanDueMs = -Infinity;
    return taken;
  }

  writeRetransmission(conversation: SendConversation, serial: number, out: Buffer, offset: number, nowMs: number): number {
    this.counters.retransmitted++;
    if (conversation.isCopy(serial)) this.counters.retransmittedCopies++;
    return this.write(conversation, serial, out, offset, nowMs);
  }

  /** Whether acknowledgements or a window announcement are due. */
  hasDueAcknowledgements(nowMs: number): boolean {
    return this.acknowledgements.areDue(nowMs, this.settings.intervalMs);
  }

  /** Writes pending acknowledgements below `limit`; returns the offset behind them. What does not fit stays. */
  writeAcknowledgements(out: Buffer, offset: number, limit: number, nowMs: number): number {
    return this.acknowledgements.write(out, offset, limit, nowMs, this.settings.intervalMs);
  }

  /** Takes the conversations for which a FORWARD is due: the sender advanced una without an acknowledgement. */
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
    conversation.announceWindow = true;
    this.scheduleAcknowledgement(conversation, nowMs);
  }

  /** Bytes of segments that the peer acknowledged since the last call. */
  takeAckedBytes(): number {
    const bytes = this.ackedBytes;
    this.ackedBytes = 0;
    return bytes;
  }

  /** Bytes of segments that were written since the last call, retransmissions included. */
  takePushedBytes(): number {
    const bytes = this.pushedBytes;
    this.pushedBytes = 0;
    return bytes;
  }

  /** Reads concatenated segments. False when one is malformed; those before it are processed. */
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
      conversation.fastAck(this.settings.fastResend);
      this.scanDueMs = Math.min(this.scanDueMs, conversation.dueMs);
    }
    this.acked.length = 0;
    return sound;
  }

  /** Queues due retransmissions and gives up on overdue segments. */
  service(nowMs: number): void {
    if (nowMs >= this.windowProbeMs) this.probeWindow();
    this.acknowledgements.repeat(nowMs, this.settings.intervalMs);
    if (nowMs >= this.tidyMs) {
      this.tidyMs = nowMs + TIDY_MS;
      this.receives.tidy(nowMs);
      // By then the receiver has given up on the missing fragments.
      this.reassembly.dropBefore(nowMs - 2 * this.settings.deadlineMs);
    }
    if (nowMs < this.scanDueMs) return;
    let dueMs = Infinity;
    for (const conversation of this.sends.values()) {
      if (conversation.dueMs <= nowMs) this.serviceSend(conversation, nowMs);
      dueMs = Math.min(dueMs, conversation.dueMs);
    }
    for (const conversation of this.receives.values()) {
      if (conversation.gapDueMs(this.settings.deadlineMs) <= nowMs) this.serviceReceive(conversation, nowMs);
      dueMs = Math.min(dueMs, conversation.gapDueMs(this.settings.deadlineMs));
    }
    this.scanDueMs = Math.max(dueMs, nowMs + SCAN_MS);
  }

  /** When `service` or `writeAcknowledgements` has work again. */
  nextDueMs(nowMs: number): number {
    return Math.max(Math.min(this.acknowledgements.nextDueMs, this.windowProbeMs, this.scanDueMs), nowMs + 1);
  }

  /** Forgets a conversation. Its number must not be used again on this trunk before the next 'lost'. */
  close(id: number): void {
    this.sends.delete(id);
    const receive = this.receives.remove(id);
    if (receive) this.acknowledgements.remove(receive);
  }

  private serviceSend(conversation: SendConversation, nowMs: number): void {
    const mayAbandon = this.mayAbandon && conversation.id !== CONTROL_CONVERSATION;
    this.counters.abandoned += conversation.collectDue(nowMs, this.settings.fastResend, mayAbandon, this.hooks.retransmit);
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
    if (!conversation.giveUpOverdue(nowMs, this.settings.deadlineMs)) return;
    this.counters.givenUp += conversation.givenUp - before;
    conversation.announceWindow = true;
    this.scheduleAcknowledgement(conversation, nowMs);
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
      receive.announceWindow = true;
      this.scheduleAcknowledgement(receive, nowMs);
    }
    return end;
  }

  private receiveAck(send: SendConversation, serial: number, timestamp: number, nowMs: number): void {
    const rttMs = sinceSegmentTime(timestamp, nowMs);
    // Acknowledgements may be repeated later: only the newest timestamp is a valid RTT sample.
    if (rttMs >= 0 && rttMs < 10_000 && serialDistance(this.sampledStamp, timestamp) > 0) {
      this.sampledStamp = timestamp;
      this.rtt.sample(rttMs);
      this.hooks.rtt?.(rttMs, nowMs);
    }
    if (send.acknowledge(serial, timestamp)) this.counters.spuriousRetransmissions++;
    if (send.listed) return;
    send.listed = true;
    this.acked.push(send);
  }

  private receivePush(id: number, serial: number, timestamp: number, fragment: number, payload: Buffer, nowMs: number): void {
    const conversation = this.receiveHalf(id, nowMs);
    const givenUp = conversation.givenUp;
    const arrival = conversation.accept(serial, timestamp, fragment, payload, nowMs);
    this.counters.givenUp += conversation.givenUp - givenUp;
    if (conversation.hasGap) this.scanDueMs = Math.min(this.scanDueMs, conversation.gapDueMs(this.settings.deadlineMs));
    this.scheduleAcknowledgement(conversation, nowMs);
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

  private scheduleAcknowledgement(conversation: ReceiveConversation, nowMs: number): void {
    this.acknowledgements.add(conversation, conversation.id === CONTROL_CONVERSATION, nowMs, this.settings.intervalMs);
  }

  /** Sends one segment into a closed window, as TCP's zero-window probe does: the answer carries the new window. */
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
    const end = conversation.write(serial, out, offset, nowMs, this.stamp, this.retransmissionCopies, window, receive?.nxt ?? 0);
    this.pushedBytes += end - offset;
    this.scanDueMs = Math.min(this.scanDueMs, conversation.dueMs);
    return end;
  }

  private sendHalf(id: number): SendConversation {
    let conversation = this.sends.get(id);
    if (!conversation) {
      conversation = new SendConversation(id, id === CONTROL_CONVERSATION ? CONTROL_WINDOW : this.settings.sendWindow, this.rtt);
      if (this.peerWindow !== undefined && id !== CONTROL_CONVERSATION) conversation.remoteWindow = this.peerWindow;
      this.sends.set(id, conversation);
    }
    return conversation;
  }

  private receiveHalf(id: number, nowMs: number): ReceiveConversation {
    return this.receives.at(id, this.windowOf(id), nowMs);
  }

  private windowOf(id: number): number {
    return id === CONTROL_CONVERSATION ? CONTROL_WINDOW : this.settings.receiveWindow;
  }
}
