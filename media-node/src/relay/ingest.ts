import {
  FRAME_KIND_RTP,
  FRAME_KIND_SENDER_REPORT,
  FRAME_START,
  KEYFRAME,
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
import { KeyframeBackoff } from './keyframe-backoff.ts';
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
  /** Requests for a keyframe, by what became of them: sent to the publisher, or held back because it was asked just now or does not answer. */
  keyframeRequests: { sent: number; held: number };
}

/** One track of a publisher at its gate, all layers together. */
export interface TrackCounters {
  track: number;
  /** Packets that reached the gate. */
  packets: number;
  /** Packets that the gate let pass. */
  passed: number;
}

/** Where the packets of a track's layer come from now. */
export interface LayerSource {
  track: number;
  layer: number;
  ssrc: number;
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
    keyframeRequests: { sent: 0, held: 0 },
  };
  readonly #options: IngestOptions;
  readonly #view = new RtpView();
  readonly #layers = new Map<number, GatedLayer>();
  readonly #tracks: TrackCounters[] = [];
  #rttMs: number | undefined;

  constructor(options: IngestOptions) {
    this.#options = options;
    this.#rttMs = options.rttMs;
    for (const track of options.tracks) {
      const counters: TrackCounters = { track: track.track, packets: 0, passed: 0 };
      this.#tracks.push(counters);
      for (const { layer, ssrc } of track.layers) {
        this.#layers.set(ssrc, new GatedLayer(track, layer, options, this.counters, counters, this.#rttMs));
      }
    }
  }

  get tracks(): readonly TrackCounters[] {
    return this.#tracks;
  }

  /** A layer's packets come under another SSRC from now on, because its producer was replaced; its gate and its numbering go on. */
  setSources(sources: readonly LayerSource[]): void {
    for (const { track, layer, ssrc } of sources) {
      const [before, gated] = [...this.#layers].find(([, known]) => known.is(track, layer)) ?? [];
      if (before === undefined || gated === undefined || before === ssrc) continue;
      this.#layers.delete(before);
      this.#layers.set(ssrc, gated);
    }
  }

  /** A viewer needs a keyframe. */
  requestKeyframe(track: number, layer: number): void {
    for (const gated of this.#layers.values()) if (gated.is(track, layer)) gated.requestKeyframe();
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
    for (const layer of this.#layers.values()) dueMs = Math.min(dueMs, layer.tick(nowMs));
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
  readonly #trackCounters: TrackCounters;
  readonly #keyframes = new KeyframeBackoff();
  #lastTimestamp = -1;

  constructor(
    track: TrackDescription,
    layer: number,
    options: IngestOptions,
    counters: IngestCounters,
    trackCounters: TrackCounters,
    rttMs: number | undefined,
  ) {
    this.#track = track;
    this.#layer = layer;
    this.#options = options;
    this.#counters = counters;
    this.#trackCounters = trackCounters;
    this.#mark = createFrameMarker(track);
    this.#mediaClass = track.kind === 'audio' ? AUDIO : VIDEO;
    this.#startsByTimestamp = startsFrameByTimestamp(track.codec.mimeType);
    this.#header = { kind: FRAME_KIND_RTP, marks: 0, track: track.track, layer, epoch: options.epoch, seq: 0 };
    const gated = track.kind === 'video' && hasKeyframes(track.codec.mimeType) ? 'video' : 'audio';
    this.gate = new ForwardingGate<Buffer>(gated, this, rttMs);
  }

  is(track: number, layer: number): boolean {
    return this.#layer === layer && this.#track.track === track;
  }

  onPacket(view: RtpView, packet: Buffer): void {
    const frame = Buffer.allocUnsafe(MEDIA_HEADER_BYTES + packet.length);
    packet.copy(frame, MEDIA_HEADER_BYTES);
    const marks = this.#mark(view);
    const nowMs = this.#options.now();
    this.#trackCounters.packets += 1;
    if ((marks & KEYFRAME) !== 0) this.#keyframes.keyframe(nowMs);
    this.gate.push(view.seq, marks, frame, frame.length, nowMs);
    if (this.gate.paused) this.#options.wakeBy(this.gate.deadlineMs());
  }

  forward(frame: Buffer, canonical: number, marks: FrameMarks): void {
    this.#counters.forwarded += 1;
    this.#trackCounters.passed += 1;
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
    const frame = Buffer.allocUnsafe(MEDIA_HEADER_BYTES + SENDER_REPORT_BYTES);
    writeMediaHeader(frame, { ...this.#header, kind: FRAME_KIND_SENDER_REPORT, marks: 0 });
    frame.writeUInt32BE(report.ntpSeconds, MEDIA_HEADER_BYTES);
    frame.writeUInt32BE(report.ntpFraction, MEDIA_HEADER_BYTES + 4);
    frame.writeUInt32BE(report.rtpTimestamp, MEDIA_HEADER_BYTES + 8);
    this.#options.stream.push(frame, this.#mediaClass, this.#options.now());
  }
}
