import type { Arq, StartedPayload } from '../arq/arq.ts';
import { SEGMENT_HEADER_BYTES } from '../arq/segment.ts';
import type { Recut } from '../arq/sender.ts';
import { FecEncoder, groupLifeMs } from '../fec/encoder.ts';
import {
  FORWARD_BYTES,
  FRAME_HEADER_BYTES,
  frameRoom,
  FrameType,
  FrameWriter,
  PLAIN_OVERHEAD_BYTES,
  PROBE_BYTES,
  SHARD_HEADER_BYTES,
} from '../frames.ts';
import type { TrunkKnobs } from '../knobs.ts';
import { BASE_DATAGRAM, MAX_DATAGRAM } from '../link/wire.ts';
import { writeBeat } from '../liveness/beat.ts';
import type { Liveness } from '../liveness/liveness.ts';
import type { ProbeRound } from '../mtu/path-mtu.ts';
import { Pacer } from './pacer.ts';
import { RateEstimate } from './rate-estimate.ts';
import { RESENDS_BEFORE, SendQueues } from './queues.ts';

/** Media that waits at most this long at the rate that the way takes, else it makes room. */
const QUEUE_MS = 300;
/** At the rate cap; a way known to be narrow holds less, but a keyframe and what follows. */
const MIN_QUEUE_BYTES = 256 * 1024;
const LEAST_QUEUE_BYTES = 64 * 1024;
const LEAST_BURST_BYTES = 3 * MAX_DATAGRAM;
/** Datagrams built in one go, so that a burst on one trunk does not hold up the others of its endpoint. */
const MAX_DATAGRAMS_A_TURN = 256;
/** Probes of the peer that wait for their answer; beyond, it asks again. */
const MAX_ANSWERS = 64;

export interface OutboxLayers {
  arq: Arq;
  liveness: Liveness;
  /** The peer decodes FEC. */
  peerTakesFec: boolean;
  knobs: TrunkKnobs;
  nowMs: number;
  /** Seals and sends a plaintext; returns the datagram's size, 0 when it could not. */
  transmit: (plaintext: Buffer) => number;
  /** The link's totals, for the beats' reports. */
  arrivals: () => { expected: number; received: number };
}

/** Largest payload of a segment that a datagram of this size takes, whether or not FEC protects it. */
export function maxSegmentPayload(datagramBytes: number): number {
  return frameRoom(datagramBytes) - FRAME_HEADER_BYTES - SEGMENT_HEADER_BYTES;
}

/** Sending side of a trunk: what goes next, in which datagram, and when. */
export class Outbox {
  readonly queues: SendQueues;
  readonly rate = new RateEstimate();
  readonly counters = { windowFull: 0, paritySent: 0 };
  private readonly layers: OutboxLayers;
  private readonly writer = new FrameWriter(MAX_DATAGRAM);
  /** Offset behind the last frame of a datagram, and the largest payload of a segment: by what the path carries. */
  private frameLimit = 0;
  private maxPayload = 0;
  /** What has begun to be sent in fragments: it is finished before anything else but control, as one datagram would have been. */
  private started: StartedPayload | undefined;
  /** What was under way in segments that turned out too large for the path, to be cut anew. */
  private recuts: Recut[] = [];
  private answers: { round: number; size: number }[] = [];
  private readonly pacer: Pacer;
  private capBytesPerMs: number;
  private encoder: FecEncoder | undefined;

  constructor(layers: OutboxLayers) {
    this.layers = layers;
    this.capBytesPerMs = layers.knobs.rateCapMbps * 125;
    this.queues = new SendQueues(Math.max(MIN_QUEUE_BYTES, this.capBytesPerMs * QUEUE_MS));
    this.pacer = new Pacer(layers.knobs.rateCapMbps, layers.nowMs);
    this.encoder = this.makeEncoder(layers.knobs, 0);
    this.setDatagramSize(BASE_DATAGRAM);
  }

  applyKnobs(knobs: TrunkKnobs, nowMs: number): void {
    this.capBytesPerMs = knobs.rateCapMbps * 125;
    this.setRate();
    if (this.encoder && this.encoder.dueMs !== Infinity) this.sendParity(this.encoder, nowMs);
    this.encoder = this.makeEncoder(knobs, this.encoder?.nextGroup ?? 0);
  }

  /** Datagrams have at most so many bytes from now on. What was sent in larger segments and not acknowledged is cut anew. */
  setDatagramSize(bytes: number): void {
    const before = this.maxPayload;
    this.frameLimit = SHARD_HEADER_BYTES + frameRoom(bytes);
    this.maxPayload = maxSegmentPayload(bytes);
    if (this.maxPayload < before) this.recuts.push(...this.layers.arq.takeTooLarge(this.maxPayload));
  }

  /** Segments that a payload of so many bytes takes. */
  segmentsOf(bytes: number): number {
    return Math.max(1, Math.ceil(bytes / this.maxPayload));
  }

  /** A datagram of exactly each size, which carries nothing that is missed: a beat that tells of the probes, and padding. */
  sendProbes({ round, sizes }: ProbeRound, nowMs: number): void {
    const { writer } = this;
    this.layers.liveness.probesSent += sizes.length;
    for (const size of sizes) {
      writer.begin();
      this.addProbe(FrameType.probe, round, size);
      this.addBeat(nowMs);
      writer.open(FrameType.padding);
      const end = SHARD_HEADER_BYTES + size - PLAIN_OVERHEAD_BYTES;
      writer.bytes.fill(0, writer.at, end);
      writer.close(end);
      this.transmit(writer.asPlain(), nowMs);
    }
  }

  /** The peer's probe came: it hears so with the next datagram. */
  answerProbe(round: number, size: number): void {
    if (this.answers.length < MAX_ANSWERS) this.answers.push({ round, size });
  }

  /** How long after a datagram its parity may follow. */
  get parityDelayMs(): number {
    return this.encoder ? groupLifeMs(this.layers.arq.rtt.smoothedMs) : 0;
  }

  /** Sends what is due and what the pacer lets through; returns when there is more to do. */
  flush(nowMs: number): number {
    this.rate.acked(this.layers.arq.takeAckedBytes());
    if (this.rate.look(nowMs)) this.setRate();
    for (let i = 0; i < MAX_DATAGRAMS_A_TURN; i++) {
      if (!this.sendOne(nowMs)) {
        if (this.encoder && nowMs >= this.encoder.dueMs) this.sendParity(this.encoder, nowMs);
        return this.dueMs(nowMs);
      }
    }
    return nowMs;
  }

  /** A datagram for the peer to know that this is the end. */
  sendClose(nowMs: number): void {
    this.writer.begin();
    this.writer.open(FrameType.close);
    this.writer.bytes[this.writer.at] = 0;
    this.writer.close(this.writer.at + 1);
    this.transmit(this.writer.asPlain(), nowMs);
  }

  private setRate(): void {
    const isNarrow = this.rate.bytesPerMs < this.capBytesPerMs;
    const bytesPerMs = Math.min(this.rate.bytesPerMs, this.capBytesPerMs);
    this.pacer.setRate(bytesPerMs, isNarrow ? LEAST_BURST_BYTES : undefined);
    this.queues.maxBytes = Math.max(isNarrow ? LEAST_QUEUE_BYTES : MIN_QUEUE_BYTES, bytesPerMs * QUEUE_MS);
  }

  private dueMs(nowMs: number): number {
    const pacedMs = this.hasPushes(nowMs) ? nowMs + this.pacer.readyInMs(nowMs) : Infinity;
    return Math.min(pacedMs, this.layers.liveness.beatDueMs(nowMs), this.encoder?.dueMs ?? Infinity);
  }

  private hasPushes(nowMs: number): boolean {
    return (
      this.layers.arq.nextControlBytes(nowMs) > 0 ||
      this.queues.queuedBytes > 0 ||
      this.queues.firstResend() !== undefined ||
      this.startedRest() !== undefined ||
      this.recuts.length > 0
    );
  }

  /** Builds and sends one datagram; whether another may follow at once. */
  private sendOne(nowMs: number): boolean {
    const { arq, liveness } = this.layers;
    this.writer.begin();
    arq.beginDatagram(nowMs);
    if (liveness.beatDueMs(nowMs) <= nowMs) this.addBeat(nowMs);
    this.addForwards();
    this.addAnswers();
    const mayPush = this.pacer.readyInMs(nowMs) === 0 && this.hasPushes(nowMs);
    const tell = mayPush || !this.writer.isEmpty || arq.wantsToTell(nowMs);
    const pushed = this.addSegments(tell, mayPush, nowMs);
    if (this.writer.isEmpty) return false;
    if (pushed && this.encoder) this.sendShard(this.encoder, nowMs);
    else this.transmit(this.writer.asPlain(), nowMs);
    return pushed || arq.wantsToTell(nowMs);
  }

  private addBeat(nowMs: number): void {
    const beat = this.layers.liveness.makeBeat(this.layers.arrivals(), nowMs);
    this.writer.open(FrameType.beat);
    this.writer.close(writeBeat(beat, this.writer.bytes, this.writer.at));
  }

  private addForwards(): void {
    const forwards = this.layers.arq.takeForwards();
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

  private addAnswers(): void {
    if (this.answers.length === 0) return;
    for (const { round, size } of this.answers) {
      if (this.writer.at + FRAME_HEADER_BYTES + PROBE_BYTES <= this.frameLimit) this.addProbe(FrameType.probeAnswer, round, size);
    }
    this.answers.length = 0;
  }

  private addProbe(type: number, round: number, size: number): void {
    const { writer } = this;
    writer.open(type);
    writer.close(writer.bytes.writeUInt16LE(size, writer.bytes.writeUInt32LE(round, writer.at)));
  }

  /** One frame of segments: acknowledgements, then what fits by priority. Whether anything was pushed. */
  private addSegments(tell: boolean, mayPush: boolean, nowMs: number): boolean {
    const { writer } = this;
    writer.open(FrameType.segments);
    let offset = writer.at;
    if (tell) offset = this.layers.arq.writeTellings(writer.bytes, offset, this.frameLimit, nowMs);
    const told = offset;
    if (mayPush) {
      for (let next = this.addPush(offset, nowMs); next > offset; next = this.addPush(offset, nowMs)) offset = next;
    }
    writer.close(offset);
    return offset > told;
  }

  /** Writes the most urgent segment if it fits; returns the offset behind it, or the same offset. */
  private addPush(offset: number, nowMs: number): number {
    const { queues } = this;
    const { arq } = this.layers;
    const out = this.writer.bytes;
    const room = this.frameLimit - offset;
    const controlBytes = arq.nextControlBytes(nowMs);
    if (controlBytes > 0) return controlBytes <= room ? arq.writeControl(out, offset, nowMs) : offset;
    if (this.startedRest()) return this.addStarted(offset, nowMs);
    while (this.recuts.length > 0) {
      const { conversation, payload, deadlineMs } = this.recuts[0]!;
      const next = deadlineMs > nowMs ? this.addMedia(conversation, payload, deadlineMs, offset, nowMs) : -1;
      if (next === offset) return offset;
      this.recuts.shift();
      if (next >= 0) return next;
    }
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
      const next = this.addMedia(queue.firstConversation, queue.firstPayload, queue.firstDeadlineMs, offset, nowMs);
      if (next === offset) return offset;
      queues.shift(rank);
      if (next >= 0) return next;
      this.counters.windowFull++;
    }
  }

  /** A new media payload, whole or its first fragment. Returns the same offset when it needs another datagram, -1 when its window is full. */
  private addMedia(id: number, payload: Buffer, deadlineMs: number, offset: number, nowMs: number): number {
    const { arq } = this.layers;
    const room = this.frameLimit - offset - SEGMENT_HEADER_BYTES;
    if (payload.length <= this.maxPayload) {
      return payload.length <= room ? arq.writeMedia(id, payload, deadlineMs, this.writer.bytes, offset, nowMs) : offset;
    }
    // The first fragment fills this datagram up, unless that would make one fragment more of it.
    const rest = (this.segmentsOf(payload.length) - 1) * this.maxPayload;
    if (room < payload.length - rest) return offset;
    this.started = arq.startMedia(id, payload, deadlineMs, Math.min(room, this.maxPayload), this.maxPayload);
    return this.started ? this.addStarted(offset, nowMs) : -1;
  }

  private addStarted(offset: number, nowMs: number): number {
    const { conversation, serial } = this.started!;
    if (conversation.sizeOf(serial) > this.frameLimit - offset) return offset;
    return this.layers.arq.writeStarted(this.started!, this.writer.bytes, offset, nowMs);
  }

  /** What was started and is neither written nor given up. */
  private startedRest(): StartedPayload | undefined {
    const { started } = this;
    if (started && (started.serial === started.end || !started.conversation.isOutstanding(started.serial)))
      this.started = undefined;
    return this.started;
  }

  /** Only datagrams that push something are protected: beats and acknowledgements are soon followed by newer ones. */
  private sendShard(encoder: FecEncoder, nowMs: number): void {
    const { group, index } = encoder.add(this.writer.frames, nowMs, groupLifeMs(this.layers.arq.rtt.smoothedMs));
    this.transmit(this.writer.asShard(group, index), nowMs);
    if (encoder.isFull) this.sendParity(encoder, nowMs);
  }

  private sendParity(encoder: FecEncoder, nowMs: number): void {
    for (const parity of encoder.close()) {
      this.counters.paritySent++;
      this.transmit(parity, nowMs);
    }
  }

  private transmit(plaintext: Buffer, nowMs: number): void {
    const bytes = this.layers.transmit(plaintext);
    this.pacer.spend(bytes);
    this.rate.sent(bytes);
    this.layers.liveness.sent(nowMs);
  }

  private makeEncoder({ fec }: TrunkKnobs, firstGroup: number): FecEncoder | undefined {
    if (fec.mode === 'Off' || !this.layers.peerTakesFec) return undefined;
    return new FecEncoder(fec.dataShards, fec.parityShards, frameRoom(MAX_DATAGRAM), firstGroup);
  }
}
