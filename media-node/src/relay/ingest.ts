import { KEYFRAME, MAX_MEDIA_FRAME_BYTES, MEDIA_HEADER_BYTES, type FrameMarks, type TrackDescription } from '@millrace/api/trunk';
import { PublishLimit } from '../gate/index.ts';
import { frameSizeOf, isRtcp, readRtcp, RtpView } from '../rtp/index.ts';
import { GatedLayer, type GatedLayerOptions } from './gated-layer.ts';
import type { IngestCounters, TrackCounters } from './ingest-counters.ts';
import { LayerOrder } from './layer-order.ts';

/** Largest RTP packet that is carried, as mediasoup hands it on: with the header extensions that it adds, up to 24 bytes. */
export const MAX_RTP_BYTES = MAX_MEDIA_FRAME_BYTES - MEDIA_HEADER_BYTES;

/** Where the packets of a track's layer come from now. */
export interface LayerSource {
  track: number;
  layer: number;
  ssrc: number;
}

export interface IngestOptions extends Omit<GatedLayerOptions, 'limit'> {
  /** The highest bit rate of the whole stream, kbps; absent: no limit. */
  maxKbps?: number;
  tracks: TrackDescription[];
  /** The first packet that is too large to be forwarded. */
  onTooLarge?: (bytes: number) => void;
  /** Sizes or rates have shown another order of a track's layers than was assumed; lowest first. */
  onLayerOrder?: (track: number, order: readonly number[]) => void;
}

/** The publisher's packets as they leave mediasoup: each layer goes through its gate into the carried stream. */
export class Ingest {
  readonly counters: IngestCounters = {
    packets: 0,
    bytes: 0,
    forwarded: 0,
    malformed: 0,
    tooLarge: 0,
    unknownSsrc: 0,
    dropped: { late: 0, duplicate: 0, 'before-keyframe': 0, 'hold-limit': 0, restart: 0 },
    aboveLimit: 0,
    keyframeRequests: { sent: 0, held: 0 },
    insertedSets: 0,
    clockJumps: 0,
  };
  readonly #options: IngestOptions;
  readonly #view = new RtpView();
  readonly #layers = new Map<number, GatedLayer>();
  readonly #tracks: TrackCounters[] = [];
  readonly #limit = new PublishLimit();

  constructor(options: IngestOptions) {
    this.#options = options;
    this.#limit.set(options.maxKbps, options.now());
    for (const track of options.tracks) {
      const counters: TrackCounters = { track: track.track, packets: 0, passed: 0 };
      this.#tracks.push(counters);
      const order = track.layers.length > 1 ? new LayerOrder(track.layers.map(({ layer }) => layer)) : undefined;
      for (const { layer, ssrc } of track.layers) {
        const watch = order && this.#watch(order, track, layer, options);
        this.#layers.set(ssrc, new GatedLayer(track, layer, { ...options, limit: this.#limit }, this.counters, counters, watch));
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
      gated.gate.expectNewSource();
    }
  }

  /** The highest bit rate of the whole stream from now on, kbps; undefined: no limit. */
  setLimit(maxKbps: number | undefined): void {
    this.#limit.set(maxKbps, this.#options.now());
  }

  /** A viewer needs a keyframe. */
  requestKeyframe(track: number, layer: number): void {
    for (const gated of this.#layers.values()) if (gated.is(track, layer)) gated.requestKeyframe();
  }

  /** The publisher's round-trip time, from its RTCP. */
  setRtt(rttMs: number): void {
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
    if (packet.length > MAX_RTP_BYTES) {
      counters.tooLarge += 1;
      if (counters.tooLarge === 1) this.#options.onTooLarge?.(packet.length);
      return;
    }
    if (!view.parse(packet)) {
      counters.malformed += 1;
      return;
    }
    const layer = this.#layers.get(view.ssrc);
    if (layer) layer.onPacket(view, packet);
    else counters.unknownSsrc += 1;
  }

  /** What the layer's packets say of its rank. */
  #watch(order: LayerOrder, { track, codec }: TrackDescription, layer: number, { onLayerOrder }: IngestOptions) {
    return (view: RtpView, marks: FrameMarks, bytes: number, nowMs: number): void => {
      const size = (marks & KEYFRAME) !== 0 ? frameSizeOf(codec.mimeType, view) : undefined;
      let hasChanged = order.onPacket(layer, bytes, nowMs);
      if (size && order.onFrameSize(layer, size.width * size.height, nowMs)) hasChanged = true;
      if (!hasChanged) return;
      this.#limit.reorder(track, order.order);
      onLayerOrder?.(track, order.order);
    };
  }

  /** Ends the waits that are due; returns when to come again. */
  tick(nowMs: number): number {
    let dueMs = Infinity;
    for (const layer of this.#layers.values()) dueMs = Math.min(dueMs, layer.tick(nowMs));
    return dueMs;
  }
}
