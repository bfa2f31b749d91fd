import {
  FRAME_KIND_RTP,
  FRAME_KIND_SENDER_REPORT,
  FRAME_START,
  MAX_MEDIA_FRAME_BYTES,
  MEDIA_HEADER_BYTES,
  SENDER_REPORT_BYTES,
  writeMediaHeader,
  type FrameMarks,
  type MediaHeader,
  type TrackDescription,
} from '@millrace/api/trunk';
import { ForwardingGate, type DropReason, type GateActions } from '../gate/index.ts';
import {
  createFrameMarker,
  hasKeyframes,
  isRtcp,
  readRtcp,
  RtpView,
  setSequence,
  startsFrameByTimestamp,
  type FrameMarker,
  type SenderReport,
} from '../rtp/index.ts';
import { AUDIO, VIDEO, type CarriedStream, type MediaClass } from './carried-stream/index.ts';

export interface IngestCounters {
  packets: number;
  bytes: number;
  forwarded: number;
  /** No RTP, or too large for a trunk. */
  malformed: number;
  /** RTP of an SSRC that no track names. */
  unknownSsrc: number;
  dropped: Record<DropReason, number>;
}

export interface IngestOptions {
  stream: CarriedStream;
  epoch: number;
  tracks: TrackDescription[];
  rttMs?: number;
  now: () => number;
  /** Asks for `tick` at this time, or earlier. */
  wakeBy: (dueMs: number) => void;
  /** To the publisher. */
  onKeyframeRequest: (track: number, layer: number) => void;
}

/** The publisher's packets as they leave mediasoup: marked, gated, numbered, and given to the carried stream. */
export class Ingest {
  readonly counters: IngestCounters = {
    packets: 0,
    bytes: 0,
    forwarded: 0,
    malformed: 0,
    unknownSsrc: 0,
    dropped: { late: 0, duplicate: 0, 'before-keyframe': 0, 'hold-limit': 0, restart: 0 },
  };
  readonly #options: IngestOptions;
  readonly #view = new RtpView();
  readonly #layers = new Map<number, GatedLayer>();
  #rttMs: number | undefined;

  constructor(options: IngestOptions) {
    this.#options = options;
    this.#rttMs = options.rttMs;
    this.setTracks(options.tracks);
  }

  /** Tracks may come and go; the numbering of those that stay goes on. */
  setTracks(tracks: TrackDescription[]): void {
    const named = new Set<number>();
    for (const track of tracks) {
      for (const { layer, ssrc } of track.layers) {
        named.add(ssrc);
        if (this.#layers.get(ssrc)?.describes(track, layer)) continue;
        this.#layers.set(ssrc, new GatedLayer(track, layer, this.#options, this.counters, this.#rttMs));
      }
    }
    for (const ssrc of this.#layers.keys()) if (!named.has(ssrc)) this.#layers.delete(ssrc);
  }

  /** The publisher's round-trip time, from its RTCP. */
  setRtt(rttMs: number): void {
    this.#rttMs = rttMs;
    for (const { gate } of this.#layers.values()) {
      gate.setRtt(rttMs);
      if (gate.paused) this.#options.wakeBy(gate.deadlineMs());
    }
  }

  onPacket(packet: Buffer): void {
    if (isRtcp(packet)) {
      readRtcp(packet, { senderReport: (report) => this.#layers.get(report.ssrc)?.onSenderReport(report) });
      return;
    }
    const counters = this.counters;
    counters.packets += 1;
    counters.bytes += packet.length;
    const view = this.#view;
    if (packet.length > MAX_MEDIA_FRAME_BYTES - MEDIA_HEADER_BYTES || !view.parse(packet)) {
      counters.malformed += 1;
      return;
    }
    const layer = this.#layers.get(view.ssrc);
    if (layer) layer.onPacket(view, packet);
    else counters.unknownSsrc += 1;
  }

  /** Ends the waits that are due; returns when to come again. */
  tick(nowMs: number): number {
    let dueMs = Infinity;
    for (const { gate } of this.#layers.values()) {
      if (!gate.paused) continue;
      gate.tick(nowMs);
      dueMs = Math.min(dueMs, gate.deadlineMs());
    }
    return dueMs;
  }
}

/** One SSRC of the publisher. */
class GatedLayer implements GateActions<Buffer> {
  readonly gate: ForwardingGate<Buffer>;
  readonly #track: TrackDescription;
  readonly #layer: number;
  readonly #options: IngestOptions;
  readonly #counters: IngestCounters;
  readonly #mark: FrameMarker;
  readonly #mediaClass: MediaClass;
  readonly #startsByTimestamp: boolean;
  readonly #header: MediaHeader;
  #lastTimestamp = -1;

  constructor(
    track: TrackDescription,
    layer: number,
    options: IngestOptions,
    counters: IngestCounters,
    rttMs: number | undefined,
  ) {
    this.#track = track;
    this.#layer = layer;
    this.#options = options;
    this.#counters = counters;
    this.#mark = createFrameMarker(track);
    this.#mediaClass = track.kind === 'audio' ? AUDIO : VIDEO;
    this.#startsByTimestamp = startsFrameByTimestamp(track.codec.mimeType);
    this.#header = { kind: FRAME_KIND_RTP, marks: 0, track: track.track, layer, epoch: options.epoch, seq: 0 };
    const gated = track.kind === 'video' && hasKeyframes(track.codec.mimeType) ? 'video' : 'audio';
    this.gate = new ForwardingGate<Buffer>(gated, this, rttMs);
  }

  describes(track: TrackDescription, layer: number): boolean {
    return this.#layer === layer && this.#track.track === track.track && this.#track.codec.mimeType === track.codec.mimeType;
  }

  onPacket(view: RtpView, packet: Buffer): void {
    const frame = Buffer.allocUnsafe(MEDIA_HEADER_BYTES + packet.length);
    packet.copy(frame, MEDIA_HEADER_BYTES);
    this.gate.push(view.seq, this.#mark(view), frame, frame.length, this.#options.now());
    if (this.gate.paused) this.#options.wakeBy(this.gate.deadlineMs());
  }

  forward(frame: Buffer, canonical: number, marks: FrameMarks): void {
    this.#counters.forwarded += 1;
    const timestamp = frame.readUInt32BE(MEDIA_HEADER_BYTES + 4);
    const starts = this.#startsByTimestamp && timestamp !== this.#lastTimestamp;
    this.#lastTimestamp = timestamp;
    this.#header.marks = starts ? marks | FRAME_START : marks;
    this.#header.seq = canonical;
    writeMediaHeader(frame, this.#header);
    setSequence(frame, MEDIA_HEADER_BYTES, canonical);
    this.#options.stream.push(frame, this.#mediaClass, this.#options.now());
  }

  drop(_frame: Buffer, reason: DropReason): void {
    this.#counters.dropped[reason] += 1;
  }

  requestKeyframe(): void {
    this.#options.onKeyframeRequest(this.#track.track, this.#layer);
  }

  /** The origin's clock for this SSRC: without it mediasoup cannot switch between simulcast layers at the last hop. */
  onSenderReport(report: SenderReport): void {
    const frame = Buffer.allocUnsafe(MEDIA_HEADER_BYTES + SENDER_REPORT_BYTES);
    writeMediaHeader(frame, { ...this.#header, kind: FRAME_KIND_SENDER_REPORT, marks: 0 });
    frame.writeUInt32BE(report.ntpSeconds, MEDIA_HEADER_BYTES);
    frame.writeUInt32BE(report.ntpFraction, MEDIA_HEADER_BYTES + 4);
    frame.writeUInt32BE(report.rtpTimestamp, MEDIA_HEADER_BYTES + 8);
    this.#options.stream.push(frame, this.#mediaClass, this.#options.now());
  }
}
