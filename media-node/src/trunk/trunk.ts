import { EventEmitter } from 'node:events';
import { Arq, type ArqCounters } from './arq/arq.ts';
import { FecDecoder, type FecCounters } from './fec/decoder.ts';
import { FecEncoder } from './fec/encoder.ts';
import {
  FORWARD_BYTES,
  FrameType,
  FrameWriter,
  frameRoom,
  FRAME_HEADER_BYTES,
  readFrames,
  SHARD_HEADER_BYTES,
  Envelope,
} from './frames.ts';
import type { PeerAddress } from './io/datagram.ts';
import { livenessKnobs, type TrunkKnobs } from './knobs.ts';
import { Capability, type Hello } from './link/hello.ts';
import { PeerLink, type LinkHost } from './link/peer-link.ts';
import { MAX_DATAGRAM } from './link/wire.ts';
import { readBeat, writeBeat } from './liveness/beat.ts';
import { Liveness } from './liveness/liveness.ts';
import { SEGMENT_HEADER_BYTES } from './arq/segment.ts';
import { Pacer } from './scheduling/pacer.ts';
import { type Priority, type QueueCounters, RESENDS_BEFORE, SendQueues } from './scheduling/queues.ts';

/** Largest payload of `sendMedia`: one datagram of the path MTU assumed, less what every layer adds. */
export const MAX_MEDIA_PAYLOAD = frameRoom(MAX_DATAGRAM) - FRAME_HEADER_BYTES - SEGMENT_HEADER_BYTES;
/** Control messages that wait beyond this are refused: the peer is not taking them. */
const MAX_WAITING_CONTROL_BYTES = 4 * 1024 * 1024;
/** Media that waits at most this long at the rate cap, else it makes room. */
const QUEUE_MS = 250;
const MIN_QUEUE_BYTES = 256 * 1024;
const DEFAULT_DEADLINE_MS = 600;
/** Datagrams built in one go, so that a burst on one trunk does not hold up the others of its endpoint. */
const MAX_DATAGRAMS_A_TURN = 256;

export type TrunkState = 'connecting' | 'up' | 'lost' | 'closed';
export type LostReason = 'silent' | 'peerRestarted' | 'peerClosed';

export interface MediaSend {
  /** Chosen by the sender of the stream; 1 to 2^32-1; one for each stream and class; never used again until the trunk was lost. */
  conversation: number;
  priority: Priority;
  /** After this the payload is of no use, ms from now. */
  deadlineMs?: number;
  /** At most MAX_MEDIA_PAYLOAD bytes; referred to until acknowledged or overdue, so not to be written to any more. */
  payload: Buffer;
}

export interface TrunkStats {
  peer: string;
  state: TrunkState;
  address: PeerAddress | undefined;
  rttMs: number;
  jitterMs: number;
  /** Percent of the peer's datagrams that did not arrive here, and of ours there. */
  lossInPercent: number;
  lossOutPercent: number;
  sentBytes: number;
  receivedBytes: number;
  sentDatagrams: number;
  receivedDatagrams: number;
  queuedBytes: number;
  rebinds: number;
  timesLost: number;
  arq: ArqCounters;
  fec: FecCounters & { paritySent: number };
  queues: QueueCounters;
  windowFull: number;
  oversize: number;
  malformed: number;
}

interface TrunkEvents {
  up: [];
  lost: [LostReason];
  closed: [];
}

/** What a trunk needs of its endpoint. */
export interface TrunkHost extends LinkHost {
  readonly knobs: TrunkKnobs;
  now(): number;
  /** Asks for `flush` soon, after what is being done now. */
  touch(trunk: Trunk): void;
  /** Makes the trunk known to the endpoint's user, once. */
  announce(trunk: Trunk): void;
  /** Judgements wait until this time after the process itself was held up. */
  readonly judgeAfterMs: number;
}

/** One authenticated link with one peer. After 'lost' nothing of before is delivered any more; a new 'up' starts afresh. */
export class Trunk extends EventEmitter<TrunkEvents> {
  readonly peer: string;
  readonly link: PeerLink;
  state: TrunkState = 'connecting';
  /** Place in the endpoint's timer heap. */
  dueMs = Infinity;
  heapIndex = -1;
  onControl: (message: Buffer) => void = () => {};
  onMedia: (conversation: number, payload: Buffer) => void = () => {};
  /** Versions that the peer said it speaks, when it refused ours. Not authenticated: for people to read. */
  refusedBy: { lowest: number; highest: number } | undefined;
  /** When the state last changed, for the endpoint's housekeeping. */
  sinceMs: number;
  private readonly host: TrunkHost;
  private readonly writer = new FrameWriter(MAX_DATAGRAM);
  private readonly frameLimit = this.writer.at + frameRoom(MAX_DATAGRAM);
  private arq: Arq;
  private queues: SendQueues;
  private pacer: Pacer;
  private liveness: Liveness;
  private encoder: FecEncoder | undefined;
  private decoder: FecDecoder;
  private inUse = false;
  private nowMs: number;
  private readonly totals = {
    sentBytes: 0,
    receivedBytes: 0,
    sent: 0,
    received: 0,
    lost: 0,
    windowFull: 0,
    paritySent: 0,
    oversize: 0,
    malformed: 0,
  };

  constructor(host: TrunkHost, peer: string) {
    super();
    this.host = host;
    this.peer = peer;
    this.nowMs = host.now();
    this.sinceMs = this.nowMs;
    this.link = new PeerLink(host, peer, this.nowMs, (hello, fresh, nowMs) => this.established(hello, fresh, nowMs));
    this.arq = this.makeArq();
    this.queues = this.makeQueues();
    this.pacer = new Pacer(host.knobs.rateCapMbps, this.nowMs);
    this.liveness = new Liveness(livenessKnobs(host.knobs), this.nowMs);
    this.decoder = this.makeDecoder();
  }

  /** Reliable and in order while the trunk is up. False when it is not, or when the peer has stopped taking messages. */
  sendControl(message: Buffer): boolean {
    if (this.state !== 'up' || this.arq.waitingControlBytes > MAX_WAITING_CONTROL_BYTES) return false;
    this.arq.queueControl(message);
    this.host.touch(this);
    return true;
  }

  /** One payload, delivered at most once, at once, in any order. False when the trunk is not up or the payload is too large. */
  sendMedia(send: MediaSend): boolean {
    if (this.state !== 'up') return false;
    if (send.payload.length > MAX_MEDIA_PAYLOAD) {
      this.totals.oversize++;
      return false;
    }
    const nowMs = this.host.now();
    const deadlineAtMs = nowMs + (send.deadlineMs ?? DEFAULT_DEADLINE_MS);
    this.queues.push(send.priority, send.conversation, send.payload, deadlineAtMs, nowMs);
    this.host.touch(this);
    return true;
  }

  /** No more will be sent on it, nor is any more wanted from it. */
  closeConversation(conversation: number): void {
    this.arq.close(conversation);
  }

  /** A trunk in use on either side carries something at least every heartbeat interval, so that its loss is noticed at once. */
  setInUse(inUse: boolean): void {
    this.inUse = inUse;
    this.liveness.setInUse(inUse, this.host.now());
    if (this.state === 'up') this.host.touch(this);
  }

  stats(): TrunkStats {
    const { totals, liveness } = this;
    const loss = liveness.loss;
    return {
      peer: this.peer,
      state: this.state,
      address: this.link.address,
      rttMs: liveness.rttMs,
      jitterMs: liveness.jitterMs,
      lossInPercent: loss.in * 100,
      lossOutPercent: loss.out * 100,
      sentBytes: totals.sentBytes,
      receivedBytes: totals.receivedBytes,
      sentDatagrams: totals.sent,
      receivedDatagrams: totals.received,
      queuedBytes: this.queues.queuedBytes,
      rebinds: this.link.rebinds,
      timesLost: totals.lost,
      arq: { ...this.arq.counters },
      fec: { ...this.decoder.counters, paritySent: totals.paritySent },
      queues: structuredClone(this.queues.counters),
      windowFull: totals.windowFull,
      oversize: totals.oversize,
      malformed: totals.malformed,
    };
  }

  /** Tells the peer and ends. */
  close(): void {
    if (this.state === 'closed') return;
    if (this.link.ready) {
      this.writer.begin();
      this.writer.open(FrameType.close);
      this.writer.bytes[this.writer.at] = 0;
      this.writer.close(this.writer.at + 1);
      this.transmit(this.writer.asPlain(), this.host.now());
    }
    this.link.wanted = false;
    this.link.restart();
    this.queues.clear();
    this.state = 'closed';
    this.emit('closed');
  }

  /** A data datagram's plaintext. */
  receive(plaintext: Buffer, datagramBytes: number, nowMs: number): void {
    this.nowMs = nowMs;
    this.totals.received++;
    this.totals.receivedBytes += datagramBytes;
    if (this.state !== 'up') return;
    this.liveness.heard(nowMs);
    switch (plaintext[0]) {
      case Envelope.plain:
        return this.receiveFrames(plaintext.subarray(1));
      case Envelope.shard:
      case Envelope.parity:
        return this.receiveShard(plaintext);
      default:
        this.totals.malformed++;
    }
  }

  /** Does what is due and sends what may go; returns when to come again. */
  flush(nowMs: number): number {
    this.nowMs = nowMs;
    const linkDueMs = this.link.service(nowMs);
    if (this.state !== 'up') return linkDueMs;
    if (this.liveness.isLost(nowMs) && nowMs >= this.host.judgeAfterMs) {
      this.lose('silent', nowMs);
      return this.link.service(nowMs);
    }
    this.arq.service(nowMs);
    const more = this.sendDue(nowMs);
    if (this.encoder && nowMs >= this.encoder.dueMs) this.sendParity(this.encoder, nowMs);
    if (more) return nowMs;
    const pacedMs = this.queues.queuedBytes > 0 ? nowMs + this.pacer.readyInMs(nowMs) : Infinity;
    return Math.min(
      linkDueMs,
      this.arq.nextDueMs(nowMs),
      this.liveness.beatDueMs(nowMs),
      Math.max(this.liveness.lostDueMs(), this.host.judgeAfterMs, nowMs + 1),
      pacedMs,
      this.encoder?.dueMs ?? Infinity,
    );
  }

  private established(hello: Hello, fresh: boolean, nowMs: number): void {
    if (!fresh) return;
    // Whatever was in flight belongs to an association that the peer knows nothing of any more.
    if (this.state === 'up') this.noteLost('peerRestarted', nowMs);
    this.arq = this.makeArq();
    this.arq.mayAbandon = (hello.capabilities & Capability.forward) !== 0;
    this.arq.peerWindow = hello.receiveWindow;
    this.queues = this.makeQueues();
    this.pacer = new Pacer(this.host.knobs.rateCapMbps, nowMs);
    this.liveness = new Liveness(livenessKnobs(this.host.knobs), nowMs);
    this.liveness.setInUse(this.inUse, nowMs);
    this.encoder = this.makeEncoder(hello);
    this.decoder = this.makeDecoder();
    this.state = 'up';
    this.sinceMs = nowMs;
    this.host.touch(this);
    this.host.announce(this);
    this.emit('up');
  }

  private lose(reason: LostReason, nowMs: number): void {
    this.link.restart();
    this.queues.clear();
    this.noteLost(reason, nowMs);
  }

  private noteLost(reason: LostReason, nowMs: number): void {
    this.totals.lost++;
    this.state = 'lost';
    this.sinceMs = nowMs;
    this.emit('lost', reason);
  }

  private receiveShard(plaintext: Buffer): void {
    const isParity = plaintext[0] === Envelope.parity;
    const verdict = isParity ? this.decoder.receiveParity(plaintext) : this.decoder.receiveShard(plaintext);
    if (verdict === 'malformed') this.totals.malformed++;
    if (verdict !== 'new') return;
    if (!isParity) this.receiveFrames(plaintext.subarray(SHARD_HEADER_BYTES));
    this.decoder.settle(plaintext);
  }

  private receiveFrames(frames: Buffer): void {
    if (!readFrames(frames, this.takeFrame)) this.totals.malformed++;
  }

  private readonly takeFrame = (type: number, body: Buffer): boolean => {
    if (this.state !== 'up') return true;
    switch (type) {
      case FrameType.segments:
        return this.arq.receive(body, this.nowMs);
      case FrameType.beat: {
        const beat = readBeat(body);
        if (beat) this.liveness.receiveBeat(beat, this.nowMs);
        return beat !== undefined;
      }
      case FrameType.forward:
        return this.receiveForwards(body);
      case FrameType.close:
        this.lose('peerClosed', this.nowMs);
        return true;
      default:
        return true;
    }
  };

  private receiveForwards(body: Buffer): boolean {
    for (let offset = 0; offset + FORWARD_BYTES <= body.length; offset += FORWARD_BYTES) {
      this.arq.receiveForward(body.readUInt32LE(offset), body.readUInt32LE(offset + 4), this.nowMs);
    }
    return body.length % FORWARD_BYTES === 0;
  }

  /** Sends until nothing is due or the pacer says stop; true when it stopped only because it had done enough for one turn. */
  private sendDue(nowMs: number): boolean {
    for (let i = 0; i < MAX_DATAGRAMS_A_TURN; i++) {
      const writer = this.writer;
      const beatDue = this.liveness.beatDueMs(nowMs) <= nowMs;
      const mayPush = this.pacer.readyInMs(nowMs) === 0;
      writer.begin();
      if (beatDue) this.addBeat(nowMs);
      this.addForwards();
      const tellNow = beatDue || !writer.isEmpty || this.arq.wantsToTell(nowMs);
      const pushed = this.addSegments(tellNow, mayPush, nowMs);
      if (writer.isEmpty) return false;
      if (pushed && this.encoder) this.sendShard(this.encoder, nowMs);
      else this.transmit(writer.asPlain(), nowMs);
      if (!pushed && !this.arq.wantsToTell(nowMs)) return false;
    }
    return true;
  }

  private addBeat(nowMs: number): void {
    this.writer.open(FrameType.beat);
    const beat = this.liveness.makeBeat(this.link.expected, this.link.received, nowMs);
    this.writer.close(writeBeat(beat, this.writer.bytes, this.writer.at));
  }

  private addForwards(): void {
    const forwards = this.arq.takeForwards();
    if (forwards.length === 0) return;
    this.writer.open(FrameType.forward);
    let offset = this.writer.at;
    for (const conversation of forwards) {
      // More than a datagram's worth at once is left to the receiver's own deadline.
      if (offset + FORWARD_BYTES > this.frameLimit) break;
      offset = this.writer.bytes.writeUInt32LE(conversation.id, offset);
      offset = this.writer.bytes.writeUInt32LE(conversation.una, offset);
    }
    this.writer.close(offset);
  }

  /** One frame of segments: acknowledgements when due or when media goes anyway, then what fits by priority. Whether anything was pushed. */
  private addSegments(tellNow: boolean, mayPush: boolean, nowMs: number): boolean {
    const { writer, arq } = this;
    writer.open(FrameType.segments);
    const start = writer.at;
    let offset = start;
    const willPush =
      mayPush && (arq.nextControlBytes(nowMs) > 0 || this.queues.queuedBytes > 0 || this.queues.firstResend() !== undefined);
    if (tellNow || willPush) offset = arq.writeTellings(writer.bytes, offset, this.frameLimit);
    const told = offset;
    if (willPush) {
      for (let next = this.addPush(offset, nowMs); next > offset; next = this.addPush(offset, nowMs)) offset = next;
    }
    writer.close(offset);
    return offset > told;
  }

  /** Writes the most urgent segment if it fits; returns the offset behind it, or the same offset. */
  private addPush(offset: number, nowMs: number): number {
    const { arq, queues } = this;
    const out = this.writer.bytes;
    const room = this.frameLimit - offset;
    const controlBytes = arq.nextControlBytes(nowMs);
    if (controlBytes > 0) return controlBytes <= room ? arq.writeControl(out, offset, nowMs) : offset;
    for (;;) {
      const rank = queues.firstClass(nowMs);
      const resend = rank >= 0 && rank < RESENDS_BEFORE ? undefined : queues.firstResend();
      if (resend) {
        if (resend.conversation.sizeOf(resend.serial) > room) return offset;
        queues.shiftResend();
        return arq.writeResend(resend.conversation, resend.serial, out, offset, nowMs);
      }
      if (rank < 0) return offset;
      const queue = queues.peek(rank);
      const payload = queue.firstPayload;
      if (SEGMENT_HEADER_BYTES + payload.length > room) return offset;
      const next = arq.writeMedia(queue.firstConversation, payload, queue.firstDeadlineMs, out, offset, nowMs);
      queues.shift(rank);
      if (next >= 0) return next;
      this.totals.windowFull++;
    }
  }

  /** Only datagrams that push something are protected: beats and acknowledgements are soon followed by newer ones. */
  private sendShard(encoder: FecEncoder, nowMs: number): void {
    const { group, index } = encoder.add(this.writer.frames, nowMs);
    this.transmit(this.writer.asShard(group, index), nowMs);
    if (encoder.isFull) this.sendParity(encoder, nowMs);
  }

  private sendParity(encoder: FecEncoder, nowMs: number): void {
    for (const parity of encoder.close()) {
      this.totals.paritySent++;
      this.transmit(parity, nowMs);
    }
  }

  private transmit(plaintext: Buffer, nowMs: number): void {
    const datagram = this.link.seal(plaintext);
    if (!datagram || !this.link.address) return;
    this.totals.sent++;
    this.totals.sentBytes += datagram.length;
    this.pacer.spend(datagram.length);
    this.liveness.sent(nowMs);
    this.host.send(datagram, this.link.address);
  }

  private makeArq(): Arq {
    return new Arq(this.host.knobs.kcp, MAX_MEDIA_PAYLOAD, {
      onMedia: (conversation, payload) => this.onMedia(conversation, payload),
      onControl: (message) => this.onControl(message),
      resend: (conversation, serial) => this.queues.pushResend(conversation, serial),
    });
  }

  private makeEncoder(hello: Hello): FecEncoder | undefined {
    const { fec } = this.host.knobs;
    if (fec.mode === 'Off' || (hello.capabilities & Capability.fec) === 0) return undefined;
    return new FecEncoder(fec.dataShards, fec.parityShards, frameRoom(MAX_DATAGRAM));
  }

  private makeDecoder(): FecDecoder {
    return new FecDecoder((frames) => this.receiveFrames(frames));
  }

  private makeQueues(): SendQueues {
    return new SendQueues(Math.max(MIN_QUEUE_BYTES, this.host.knobs.rateCapMbps * 125 * QUEUE_MS));
  }
}
