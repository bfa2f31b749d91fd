import {
  FRAME_KIND_RTP,
  frameEpoch,
  frameKind,
  frameLayer,
  frameMarks,
  frameSeq,
  frameTrack,
  KEYFRAME,
  MAX_LAYERS,
  MAX_TRACKS,
  type HeldPosition,
} from '@millrace/api/trunk';
import { PacketRing } from './packet-ring.ts';

/** Class of a conversation: one stream's audio never waits for its video. */
export const AUDIO = 0;
export const VIDEO = 1;
export type MediaClass = typeof AUDIO | typeof VIDEO;

/** What takes a carried stream's frames, as they come: a subscriber behind a trunk, or an egress on this node. */
export interface FrameSink {
  /** A packet that was not seen before; any order. */
  onFrame(frame: Buffer, track: number, layer: number, seq: number, mediaClass: MediaClass): void;
  /** A sender report of the origin (frame kind 1). */
  onSenderReport(frame: Buffer, mediaClass: MediaClass): void;
  /** The stream goes on in a later epoch; the rings are empty. */
  onEpoch(epoch: number): void;
}

export interface CarriedCounters {
  packets: number;
  bytes: number;
  duplicates: number;
  stale: number;
}

/**
 * A stream that this node carries, from wherever it comes: at least its last second, each packet once by (epoch, track,
 * layer, sequence), handed on at once.
 */
export class CarriedStream {
  readonly name: string;
  epoch = -1;
  readonly counters: CarriedCounters = { packets: 0, bytes: 0, duplicates: 0, stale: 0 };
  readonly #rings: (PacketRing | undefined)[] = new Array<PacketRing | undefined>(MAX_TRACKS * MAX_LAYERS).fill(undefined);
  #sinks: FrameSink[] = [];
  readonly #onKeyframe: (track: number, layer: number) => void;

  constructor(name: string, onKeyframe: (track: number, layer: number) => void = () => {}) {
    this.name = name;
    this.#onKeyframe = onKeyframe;
  }

  /** Takes a sound frame (mediaFrameFault); keeps the buffer. */
  push(frame: Buffer, mediaClass: MediaClass, nowMs: number): void {
    const epoch = frameEpoch(frame);
    if (epoch !== this.epoch && !this.#enter(epoch)) {
      this.counters.stale += 1;
      return;
    }
    if (frameKind(frame) !== FRAME_KIND_RTP) {
      for (const sink of this.#sinks) sink.onSenderReport(frame, mediaClass);
      return;
    }
    const track = frameTrack(frame);
    const layer = frameLayer(frame);
    const seq = frameSeq(frame);
    const opensKeyframe = (frameMarks(frame) & KEYFRAME) !== 0;
    const ring = (this.#rings[track * MAX_LAYERS + layer] ??= new PacketRing(mediaClass));
    const inserted = ring.insert(seq, frame, opensKeyframe, nowMs);
    if (inserted !== 'new') {
      this.counters[inserted === 'duplicate' ? 'duplicates' : 'stale'] += 1;
      return;
    }
    this.counters.packets += 1;
    this.counters.bytes += frame.length;
    if (opensKeyframe) this.#onKeyframe(track, layer);
    const sinks = this.#sinks;
    for (let i = 0; i < sinks.length; i++) sinks[i]!.onFrame(frame, track, layer, seq, mediaClass);
  }

  /** Goes on to a later epoch (a new publisher of the name); false for an earlier one. */
  #enter(epoch: number): boolean {
    if (epoch < this.epoch) return false;
    this.epoch = epoch;
    this.#rings.fill(undefined);
    for (const sink of this.#sinks) sink.onEpoch(epoch);
    return true;
  }

  /** The same from outside: a description of a later epoch came before its first packet. */
  advanceTo(epoch: number): void {
    if (epoch > this.epoch) this.#enter(epoch);
  }

  ring(track: number, layer: number): PacketRing | undefined {
    return this.#rings[track * MAX_LAYERS + layer];
  }

  addSink(sink: FrameSink): void {
    // Copied, so that a sink may come or go while a frame is handed round.
    this.#sinks = [...this.#sinks, sink];
  }

  removeSink(sink: FrameSink): void {
    this.#sinks = this.#sinks.filter((other) => other !== sink);
  }

  /** For each track and layer the last number without a hole, and where what is held begins. */
  held(): (HeldPosition & { from: number; takesOlder: boolean })[] {
    const positions: (HeldPosition & { from: number; takesOlder: boolean })[] = [];
    this.#rings.forEach((ring, index) => {
      if (!ring || ring.highest === -1) return;
      const track = Math.floor(index / MAX_LAYERS);
      const layer = index % MAX_LAYERS;
      positions.push({ epoch: this.epoch, track, layer, seq: ring.heldUpTo(), from: ring.lowest, takesOlder: ring.takesOlder });
    });
    return positions;
  }
}
