import {
  FRAME_KIND_RTP,
  FRAME_KIND_SENDER_REPORT,
  FRAME_START,
  INDEPENDENT,
  KEYFRAME,
  MEDIA_HEADER_BYTES,
  SENDER_REPORT_BYTES,
  writeMediaHeader,
  type FrameMarks,
  type MediaHeader,
  type TrackDescription,
} from '@millrace/api/trunk';
import {
  ForwardingGate,
  OPENS_WITH_KNOWN_SETS,
  TIME_JUMPED,
  type DropReason,
  type GateActions,
  SvcParts,
  type PublishLimit,
} from '../gate/index.ts';
import {
  createFrameMarker,
  H264ParameterSets,
  hasKeyframes,
  RTP_FIXED_BYTES,
  RtpView,
  setSequence,
  setTimestamp,
  startsFrameByTimestamp,
  type FrameMarker,
  type SenderReport,
} from '../rtp/index.ts';
import { AUDIO, VIDEO, type CarriedStream, type MediaClass } from './carried-stream/index.ts';
import type { IngestCounters, TrackCounters } from './ingest-counters.ts';
import { KeyframeBackoff } from './keyframe-backoff.ts';
import { signedDistance, Timeline } from './timeline.ts';

/** H.264 with B-frames sends pictures out of presentation order; no other source sends timestamps out of order. */
const MAX_H264_REORDER_MS = 1000;
/** A packet whose timestamp is this far from the previous one belongs to another sequence, unless its number is near. */
const MAX_TIME_ERROR_MS = 3000;
/** A sender report older than this is not applied to the packets that arrive now. */
const MAX_REPORT_AGE_MS = 5000;

export interface GatedLayerOptions {
  stream: CarriedStream;
  epoch: number;
  /** What the publisher may send, all tracks together. */
  limit: PublishLimit;
  rttMs?: number;
  /** `sprop-parameter-sets` of the publisher's SDP, by track. */
  parameterSets?: Readonly<Record<number, string>>;
  now: () => number;
  /** Asks for `tick` at this time, or earlier. */
  wakeBy: (dueMs: number) => void;
  /** To the publisher. */
  onKeyframeRequest: (track: number, layer: number) => void;
}

const NONE: readonly Buffer[] = [];
/** The marker bit, in the second byte of an RTP header. */
const MARKER = 0x80;

/** Sees the packets as they arrive. */
export type PacketWatch = (view: RtpView, marks: FrameMarks, bytes: number, nowMs: number) => void;

/**
 * One track and layer of a publisher: marks its packets, orders them with the gate, inserts parameter sets that keyframes lack, and keeps
 * sequence numbers and timestamps continuous whatever the publisher does.
 */
export class GatedLayer implements GateActions<Buffer> {
  readonly gate: ForwardingGate<Buffer>;
  readonly #track: TrackDescription;
  readonly #layer: number;
  readonly #options: GatedLayerOptions;
  readonly #counters: IngestCounters;
  readonly #trackCounters: TrackCounters;
  readonly #keyframes = new KeyframeBackoff();
  readonly #mark: FrameMarker;
  readonly #mediaClass: MediaClass;
  readonly #startsByTimestamp: boolean;
  readonly #sets: H264ParameterSets | undefined;
  readonly #timeline: Timeline;
  readonly #header: MediaHeader;
  readonly #forwarding = new RtpView();
  readonly #watch: PacketWatch | undefined;
  #restarted = false;
  readonly #limited: SvcParts;
  /** Packets inserted less those withheld so far, which the gate's numbers do not include. */
  #shift = 0;
  /** The timestamp of the last packet that the gate forwarded. */
  #gatedTimestamp = -1;
  #lastTimestamp = -1;
  #arrived: { timestamp: number; atMs: number } | undefined;
  /** A sender report that arrived before the packets that it describes. */
  #earlyReport: { report: SenderReport; atMs: number } | undefined;

  constructor(
    track: TrackDescription,
    layer: number,
    options: GatedLayerOptions,
    counters: IngestCounters,
    trackCounters: TrackCounters,
    watch?: PacketWatch,
  ) {
    this.#watch = watch;
    const { mimeType, clockRate, parameters } = track.codec;
    const isH264 = mimeType.toLowerCase() === 'video/h264';
    this.#track = track;
    this.#layer = layer;
    this.#options = options;
    this.#counters = counters;
    this.#trackCounters = trackCounters;
    this.#mark = createFrameMarker(track);
    this.#mediaClass = track.kind === 'audio' ? AUDIO : VIDEO;
    this.#startsByTimestamp = startsFrameByTimestamp(mimeType);
    this.#sets = isH264
      ? new H264ParameterSets({
          packetizationMode: Number(parameters?.['packetization-mode'] ?? 0),
          sprop: options.parameterSets?.[track.track],
        })
      : undefined;
    this.#timeline = new Timeline({ clockRate, maxReorderMs: isH264 ? MAX_H264_REORDER_MS : 0 });
    this.#header = { kind: FRAME_KIND_RTP, marks: 0, track: track.track, layer, epoch: options.epoch, seq: 0 };
    const gated = track.kind === 'video' && hasKeyframes(mimeType) ? 'video' : 'audio';
    const { limit } = options;
    const whole = limit.add({ track: track.track, layer, isAudio: track.kind === 'audio', needsKeyframe: gated === 'video' });
    this.#limited = new SvcParts(limit, whole);
    this.gate = new ForwardingGate<Buffer>(gated, this, options.rttMs);
  }

  is(track: number, layer: number): boolean {
    return this.#layer === layer && this.#track.track === track;
  }

  onPacket(view: RtpView, packet: Buffer): void {
    const nowMs = this.#options.now();
    const frame = Buffer.allocUnsafe(MEDIA_HEADER_BYTES + packet.length);
    packet.copy(frame, MEDIA_HEADER_BYTES);
    let hints = this.#hasJumped(view.timestamp, nowMs) ? TIME_JUMPED : 0;
    if (this.#sets?.onArrival(view.buffer, view.payloadStart, view.payloadEnd, view.seq)) hints |= OPENS_WITH_KNOWN_SETS;
    this.#trackCounters.packets += 1;
    const marks = this.#mark(view);
    this.#watch?.(view, marks, packet.length, nowMs);
    if ((marks & KEYFRAME) !== 0 || (hints & OPENS_WITH_KNOWN_SETS) !== 0) this.#keyframes.keyframe(nowMs);
    this.gate.push(view.seq, marks, frame, frame.length, nowMs, hints);
    if (this.gate.paused) this.#options.wakeBy(this.gate.deadlineMs());
  }

  forward(frame: Buffer, canonical: number, marks: FrameMarks, arrivedMs: number): void {
    const jumps = this.#timeline.jumps;
    const timestamp = this.#timeline.forward(frame.readUInt32BE(MEDIA_HEADER_BYTES + 4), arrivedMs, this.#restarted);
    this.#counters.clockJumps += this.#timeline.jumps - jumps;
    this.#restarted = false;
    this.#trackCounters.passed += 1;
    const missing = this.#sets ? this.#missingBefore(this.#sets, frame, timestamp) : NONE;
    const startsFrame = timestamp !== this.#gatedTimestamp;
    this.#gatedTimestamp = timestamp;
    const isKeyframe = (marks & KEYFRAME) !== 0 || missing.length > 0;
    if (!this.#limited.admits(marks, frame.length - MEDIA_HEADER_BYTES, startsFrame, isKeyframe, arrivedMs))
      return this.#withhold(marks, arrivedMs);
    if (this.#limited.endsPicture(marks)) frame[MEDIA_HEADER_BYTES + 1]! |= MARKER;
    for (const payload of missing) this.#insert(payload, frame, canonical, timestamp);
    this.#counters.forwarded += 1;
    this.#send(frame, canonical + this.#shift, timestamp, marks);
    if (this.#earlyReport) this.#retryReport();
  }

  /** The publisher sends more than it may. Nobody downstream sees a gap, since the numbers close up. */
  #withhold(marks: FrameMarks, nowMs: number): void {
    this.#shift -= 1;
    this.#counters.aboveLimit += 1;
    if (this.#limited.wantsKeyframe(marks, nowMs)) this.requestKeyframe();
  }

  restarted(): void {
    this.#restarted = true;
  }

  drop(_frame: Buffer, reason: DropReason): void {
    this.#counters.dropped[reason] += 1;
  }

  /** For the gate or a viewer; goes to the publisher now or later. */
  requestKeyframe(): void {
    const nowMs = this.#options.now();
    if (this.#keyframes.request(nowMs)) return this.#sendRequest();
    this.#counters.keyframeRequests.held += 1;
    this.#options.wakeBy(this.#keyframes.dueMs);
  }

  /** Ends the waits that are due; returns when to come again. */
  tick(nowMs: number): number {
    if (this.gate.paused) this.gate.tick(nowMs);
    if (this.#keyframes.tick(nowMs)) this.#sendRequest();
    return Math.min(this.gate.deadlineMs(), this.#keyframes.dueMs);
  }

  #sendRequest(): void {
    this.#counters.keyframeRequests.sent += 1;
    this.#options.onKeyframeRequest(this.#track.track, this.#layer);
  }

  /** The origin's clock for this SSRC: without it mediasoup cannot switch between simulcast layers at the last hop. */
  onSenderReport(report: SenderReport): void {
    const nowMs = this.#options.now();
    const rtpTimestamp = this.#timeline.report(report.rtpTimestamp, nowMs);
    if (rtpTimestamp === undefined) this.#earlyReport = { report, atMs: nowMs };
    else this.#sendReport(report, rtpTimestamp);
  }

  #retryReport(): void {
    const { report, atMs } = this.#earlyReport!;
    const rtpTimestamp = this.#timeline.report(report.rtpTimestamp, atMs);
    if (rtpTimestamp !== undefined) this.#sendReport(report, rtpTimestamp);
    else if (this.#options.now() > atMs + MAX_REPORT_AGE_MS) this.#earlyReport = undefined;
  }

  #sendReport(report: SenderReport, rtpTimestamp: number): void {
    this.#earlyReport = undefined;
    const frame = Buffer.allocUnsafe(MEDIA_HEADER_BYTES + SENDER_REPORT_BYTES);
    writeMediaHeader(frame, { ...this.#header, kind: FRAME_KIND_SENDER_REPORT, marks: 0 });
    frame.writeUInt32BE(report.ntpSeconds, MEDIA_HEADER_BYTES);
    frame.writeUInt32BE(report.ntpFraction, MEDIA_HEADER_BYTES + 4);
    frame.writeUInt32BE(rtpTimestamp, MEDIA_HEADER_BYTES + 8);
    this.#options.stream.push(frame, this.#mediaClass, this.#options.now());
  }

  /** Payloads of parameter sets that belong in front of the packet. */
  #missingBefore(sets: H264ParameterSets, frame: Buffer, timestamp: number): readonly Buffer[] {
    const view = this.#forwarding;
    view.parse(frame, MEDIA_HEADER_BYTES);
    return sets.missingBefore(frame, view.payloadStart, view.payloadEnd, timestamp);
  }

  /** A packet of our own in front of `next`: its header, its time, and the payload type that it came under. */
  #insert(payload: Buffer, next: Buffer, canonical: number, timestamp: number): void {
    const frame = Buffer.allocUnsafe(MEDIA_HEADER_BYTES + RTP_FIXED_BYTES + payload.length);
    next.copy(frame, MEDIA_HEADER_BYTES, MEDIA_HEADER_BYTES, MEDIA_HEADER_BYTES + RTP_FIXED_BYTES);
    frame[MEDIA_HEADER_BYTES] = 0x80; // version 2, no extensions, no CSRC
    frame[MEDIA_HEADER_BYTES + 1]! &= 0x7f; // no marker: the frame goes on
    payload.copy(frame, MEDIA_HEADER_BYTES + RTP_FIXED_BYTES);
    this.#forwarding.parse(frame, MEDIA_HEADER_BYTES);
    const marks = this.#mark(this.#forwarding) | INDEPENDENT;
    this.#send(frame, canonical + this.#shift, timestamp, marks);
    this.#shift += 1;
    this.#counters.insertedSets += 1;
  }

  #send(frame: Buffer, seq: number, timestamp: number, marks: FrameMarks): void {
    const starts = this.#startsByTimestamp && timestamp !== this.#lastTimestamp;
    this.#lastTimestamp = timestamp;
    this.#header.marks = starts ? marks | FRAME_START : marks;
    this.#header.seq = seq;
    writeMediaHeader(frame, this.#header);
    setSequence(frame, MEDIA_HEADER_BYTES, seq);
    setTimestamp(frame, MEDIA_HEADER_BYTES, timestamp);
    this.#options.stream.push(frame, this.#mediaClass, this.#options.now());
  }

  #hasJumped(timestamp: number, nowMs: number): boolean {
    const before = this.#arrived;
    const stepMs = before ? signedDistance(before.timestamp, timestamp) / (this.#track.codec.clockRate / 1000) : 0;
    const jumped = before !== undefined && (stepMs < -MAX_TIME_ERROR_MS || stepMs > nowMs - before.atMs + MAX_TIME_ERROR_MS);
    if (!before || jumped || stepMs > 0) this.#arrived = { timestamp, atMs: nowMs };
    return jumped;
  }
}
