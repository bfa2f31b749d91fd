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
import type { TrunkSettings } from '../settings.ts';
import { BASE_DATAGRAM, MAX_DATAGRAM } from '../link/wire.ts';
import { writeBeat } from '../liveness/beat.ts';
import type { Liveness } from '../liveness/liveness.ts';
import type { ProbeRound } from '../mtu/path-mtu.ts';
import { Pacer } from './pacer.ts';
import { RateEstimate } from './rate-estimate.ts';
import { RETRANSMISSION_RANK, SendQueues } from './queues.ts';

/** Size of the media queue: this much time at the path's rate. Above it the queue evicts. */
const QUEUE_MS = 300;
/** Minimum queue size at the rate cap. On a congested path it is smaller, with room for a keyframe and the frames behind it. */
const MIN_QUEUE_BYTES = 256 * 1024;
const MIN_NARROW_QUEUE_BYTES = 64 * 1024;
const MIN_NARROW_BURST_BYTES = 3 * MAX_DATAGRAM;
/** Most datagrams built in one turn, so that a burst on one trunk does not delay the others of its endpoint. */
const MAX_DATAGRAMS_A_TURN = 256;
/** Most unanswered probes of the peer; it repeats those beyond. */
const MAX_ANSWERS = 64;

export interface OutboxLayers {
  arq: Arq;
  liveness: Liveness;
  /** The peer decodes FEC. */
  peerTakesFec: boolean;
  settings: TrunkSettings;
  nowMs: number;
  /** Seals and sends a plaintext; returns the datagram's size, 0 when it could not. */
  transmit: (plaintext: Buffer) => number;
  /** The link's totals, which heartbeats report. */
  arrivals: () => { expected: number; received: number };
}

/** Largest segment payload that fits a datagram of this size, with or without FEC; bytes. */
export function maxSegmentPayload(datagramBytes: number): number {
  return frameRoom(datagramBytes) - FRAME_HEADER_BYTES - SEGMENT_HEADER_BYTES;
}

/** Sending side of a trunk: decides what is sent next, in which datagram, and when. */
export class Outbox {
  readonly queues: SendQueues;
  readonly rate = new RateEstimate();
  readonly counters = { windowFull: 0, paritySent: 0 };
  private readonly layers: OutboxLayers;
  private readonly writer = new FrameWriter(MAX_DATAGRAM);
  /** Largest end offset of the frames of a datagram, and largest segment payload, bytes; both follow from the path MTU. */
  private frameLimit = 0;
  private maxPayload = 0;
  /** The payload that is being sent in fragments. Only control messages are sent before the rest of it. */
  private started: StartedPayload | undefined;
  /** Payloads in flight whose segments exceed the new path MTU, to be fragmented again. */
  private recuts: Recut[] = [];
  private answers: { round: number; size: number }[] = [];
  private readonly pacer: Pacer;
  private capBytesPerMs: number;
  private encoder: FecEncoder | undefined;

  constructor(layers: OutboxLayers) {
    this.layers = layers;
    this.capBytesPerMs = layers.settings.rateCapMbps * 125;
    this.queues = new SendQueues(Math.max(MIN_QUEUE_BYTES, this.capBytesPerMs * QUEUE_MS));
    this.pacer = new Pacer(layers.settings.rateCapMbps, layers.nowMs);
    this.encoder = this.makeEncoder(layers.settings, 0);
    this.setDatagramSize(BASE_DATAGRAM);
  }

  applySettings(settings: TrunkSettings, nowMs: number): void {
    this.capBytesPerMs = settings.rateCapMbps * 125;
    this.setRate();
    if (this.encoder && this.encoder.dueMs !== Infinity) this.sendParity(this.encoder, nowMs);
    this.encoder = this.makeEncoder(settings, this.encoder?.nextGroup ?? 0);
  }

  /** Limits datagrams to this many bytes. Unacknowledged payloads in larger segments are fragmented again. */
  setDatagramSize(bytes: number): void {
    const before = this.maxPayload;
    this.frameLimit = SHARD_HEADER_BYTES + frameRoom(bytes);
    this.maxPayload = maxSegmentPayload(bytes);
    if (this.maxPayload < before) this.recuts.push(...this.layers.arq.takeTooLarge(this.maxPayload));
  }

  /** Number of segments for a payload of this many bytes. */
  segmentsOf(bytes: number): number {
    return Math.max(1, Math.ceil(bytes / this.maxPayload));
  }

  /** Sends one datagram of exactly each size. Its loss does not matter: it carries a heartbeat, which counts the probes, and padding. */
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

  /** Queues the answer to a probe of the peer for the next datagram. */
  answerProbe(round: number, size: number): void {
    if (this.answers.length < MAX_ANSWERS) this.answers.push({ round, size });
  }

  /** Longest delay from a datagram to its parity, ms. */
  get parityDelayMs(): number {
    return this.encoder ? groupLifeMs(this.layers.arq.rtt.smoothedMs) : 0;
  }

  /** Sends what is due and what the pacer allows; returns when to call again, ms. */
  flush(nowMs: number): number {
    this.rate.acked(this.layers.arq.takeAckedBytes());
    if (this.rate.update(nowMs)) this.setRate();
    for (let i = 0; i < MAX_DATAGRAMS_A_TURN; i++) {
      if (!this.sendOne(nowMs)) {
        if (this.encoder && nowMs >= this.encoder.dueMs) this.sendParity(this.encoder, nowMs);
        return this.dueMs(nowMs);
      }
    }
    return nowMs;
  }

  /** Tells the peer that this side closes the trunk. */
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
    this.pacer.setRate(bytesPerMs, isNarrow ? MIN_NARROW_BURST_BYTES : undefined);
    this.queues.maxBytes = Math.max(isNarrow ? MIN_NARROW_QUEUE_BYTES : MIN_QUEUE_BYTES, bytesPerMs * QUEUE_MS);
  }

  private dueMs(nowMs: number): number {
    const pacedMs = this.hasPushes(nowMs) ? nowMs + this.pacer.readyInMs(nowMs) : Infinity;
    return Math.min(pacedMs, this.layers.liveness.beatDueMs(nowMs), this.encoder?.dueMs ?? Infinity);
  }

  private hasPushes(nowMs: number): boolean {
    return (
      this.layers.arq.nextControlBytes(nowMs) > 0 ||
      this.queues.queuedBytes > 0 ||
      this.queues.firstRetransmission() !== undefined ||
      this.startedRest() !== undefined ||
      this.recuts.length > 0
    );
  }

  /** Builds and sends one datagram. True when another may follow at once. */
  private sendOne(nowMs: number): boolean {
    const { arq, liveness } = this.layers;
    this.writer.begin();
    arq.beginDatagram(nowMs);
    if (liveness.beatDueMs(nowMs) <= nowMs) this.addBeat(nowMs);
    this.addForwards();
    this.addAnswers();
    const mayPush = this.pacer.readyInMs(nowMs) === 0 && this.hasPushes(nowMs);
    const withAcks = mayPush || !this.writer.isEmpty || arq.hasDueAcknowledgements(nowMs);
    const pushed = this.addSegments(withAcks, mayPush, nowMs);
    if (this.writer.isEmpty) return false;
    if (pushed && this.encoder) this.sendShard(this.encoder, nowMs);
    else this.transmit(this.writer.asPlain(), nowMs);
    return pushed || arq.hasDueAcknowledgements(nowMs);
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
      // Those that do not fit one datagram are left to the receiver's deadline.
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

  /** Adds a frame of segments: acknowledgements, then media and control by priority. True when it contains push segments. */
  private addSegments(withAcks: boolean, mayPush: boolean, nowMs: number): boolean {
    const { writer } = this;
    writer.open(FrameType.segments);
    let offset = writer.at;
    if (withAcks) offset = this.layers.arq.writeAcknowledgements(writer.bytes, offset, this.frameLimit, nowMs);
    const acksEnd = offset;
    if (mayPush) {
      for (let next = this.addPush(offset, nowMs); next > offset; next = this.addPush(offset, nowMs)) offset = next;
    }
    writer.close(offset);
    return offset > acksEnd;
  }

  /** Writes the most urgent segment; returns the offset behind it, or the same offset when it does not fit. */
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
      const lost = rank >= 0 && rank < RETRANSMISSION_RANK ? undefined : queues.firstRetransmission();
      if (lost) {
        if (lost.conversation.sizeOf(lost.serial) > room) return offset;
        queues.shiftRetransmission();
        return arq.writeRetransmission(lost.conversation, lost.serial, out, offset, nowMs);
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

  /** Writes a new media payload or its first fragment. Returns the same offset when it needs another datagram, -1 when its window is full. */
  private addMedia(id: number, payload: Buffer, deadlineMs: number, offset: number, nowMs: number): number {
    const { arq } = this.layers;
    const room = this.frameLimit - offset - SEGMENT_HEADER_BYTES;
    if (payload.length <= this.maxPayload) {
      return payload.length <= room ? arq.writeMedia(id, payload, deadlineMs, this.writer.bytes, offset, nowMs) : offset;
    }
    // The first fragment fills this datagram, unless that would increase the number of fragments.
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

  /** The started payload while it has fragments that are neither written nor abandoned. */
  private startedRest(): StartedPayload | undefined {
    const { started } = this;
    if (started && (started.serial === started.end || !started.conversation.isOutstanding(started.serial)))
      this.started = undefined;
    return this.started;
  }

  /** FEC protects only datagrams with push segments: heartbeats and acknowledgements are soon superseded. */
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
    this.rate.sent(bytes, this.layers.arq.takePushedBytes());
    this.layers.liveness.sent(nowMs);
  }

  private makeEncoder({ fec }: TrunkSettings, firstGroup: number): FecEncoder | undefined {
    if (fec.mode === 'Off' || !this.layers.peerTakesFec) return undefined;
    return new FecEncoder(fec.dataShards, fec.parityShards, frameRoom(MAX_DATAGRAM), firstGroup);
  }
}
