import {
  DISCARDABLE,
  frameLayer,
  frameMarks,
  frameTrack,
  KEYFRAME,
  MAX_LAYERS,
  MAX_TRACKS,
  temporalOf,
  type HeldPosition,
} from '@millrace/api/trunk';
import type { Priority } from '../trunk/index.ts';
import { AUDIO, VIDEO, type CarriedStream, type FrameSink, type MediaClass } from './carried-stream/index.ts';
import type { Conversations } from './subscription/index.ts';
import type { RelayTrunk } from './trunks.ts';

/**
 * A carried stream on its way to one node behind: at once and in any order; order is made at the last hop. What is retransmitted goes in
 * batches, as the acknowledgements of the node behind make room: the whole of a long outage at once would find the window full.
 */
export class DownstreamFeed implements FrameSink {
  readonly conversations: Conversations;
  readonly #trunk: RelayTrunk;
  readonly #stream: CarriedStream;
  readonly #requestKeyframe: (track: number, layer: number) => void;
  #masks: Uint8Array = new Uint8Array(MAX_TRACKS);
  /** Layers that are being retransmitted, by track and layer: the next number to send. What is live waits behind it, in the ring. */
  readonly #behind = new Map<number, number>();
  sent = 0;
  refused = 0;

  /** `requestKeyframe`: what was dropped on the way to the trunk has to begin anew. */
  constructor(
    trunk: RelayTrunk,
    stream: CarriedStream,
    conversations: Conversations,
    requestKeyframe: (track: number, layer: number) => void,
  ) {
    this.#requestKeyframe = requestKeyframe;
    this.#trunk = trunk;
    this.#stream = stream;
    this.conversations = conversations;
  }

  onFrame(frame: Buffer, track: number, layer: number, seq: number, mediaClass: MediaClass): void {
    if ((this.#masks[track]! & (1 << layer)) === 0) return;
    if (this.#behind.size > 0 && seq >= (this.#behind.get(track * MAX_LAYERS + layer) ?? Infinity)) return;
    this.#send(frame, mediaClass);
  }

  onSenderReport(frame: Buffer, mediaClass: MediaClass): void {
    if ((this.#masks[frameTrack(frame)]! & (1 << frameLayer(frame))) !== 0) this.#send(frame, mediaClass);
  }

  /** Frames say their epoch themselves. */
  onEpoch(): void {
    this.#behind.clear();
  }

  /** Goes on with what is being retransmitted; whether there is more. */
  tick(): boolean {
    for (const [index, seq] of this.#behind) this.#retransmit(Math.floor(index / MAX_LAYERS), index % MAX_LAYERS, seq);
    return this.#behind.size > 0;
  }

  /** Takes up what is wanted and retransmissions what `held` and the newly wanted layers lack. */
  setWanted(masks: Uint8Array, held: HeldPosition[]): void {
    const before = this.#masks;
    this.#masks = masks;
    const positions = held.filter((position) => position.epoch === this.#stream.epoch);
    for (const { track, layer, seq } of positions) this.#retransmit(track, layer, seq + 1);
    for (let track = 0; track < MAX_TRACKS; track++) {
      for (let layer = 0; layer < MAX_LAYERS; layer++) {
        const isNew = (masks[track]! & ~before[track]! & (1 << layer)) !== 0;
        const isHeld = positions.some((position) => position.track === track && position.layer === layer);
        if (isNew && !isHeld) this.#retransmitFromKeyframe(track, layer);
      }
    }
  }

  #retransmitFromKeyframe(track: number, layer: number): void {
    const ring = this.#stream.ring(track, layer);
    if (ring?.mediaClass === VIDEO && ring.keyframe !== -1) this.#retransmit(track, layer, ring.keyframe);
  }

  #retransmit(track: number, layer: number, from: number): void {
    const index = track * MAX_LAYERS + layer;
    const ring = this.#stream.ring(track, layer);
    let seq = ring && (this.#masks[track]! & (1 << layer)) !== 0 ? ring.nextHeld(from) : -1;
    if (ring && seq !== -1) {
      let room = this.#trunk.mediaRoom(this.#conversation(ring.mediaClass));
      while (room > 0 && seq !== -1) {
        const frame = ring.get(seq)!;
        this.#send(frame, ring.mediaClass);
        room -= this.#trunk.segmentsOf(frame.length);
        seq = ring.nextHeld(seq + 1);
      }
    }
    if (seq === -1) this.#behind.delete(index);
    else this.#behind.set(index, seq);
  }

  #conversation(mediaClass: MediaClass): number {
    return mediaClass === AUDIO ? this.conversations.audio : this.conversations.video;
  }

  #send(frame: Buffer, mediaClass: MediaClass): void {
    const conversation = this.#conversation(mediaClass);
    const priority = priorityOf(frame, mediaClass);
    if (mediaClass === AUDIO) return this.#count(this.#trunk.sendMedia({ conversation, priority, payload: frame }));
    const [track, layer] = [frameTrack(frame), frameLayer(frame)];
    const starts = (frameMarks(frame) & KEYFRAME) !== 0;
    const sent = this.#trunk.sendMedia({ conversation, priority, payload: frame, chain: track * MAX_LAYERS + layer, starts });
    this.#count(sent);
    if (!sent && !this.#trunk.isCongested) this.#requestKeyframe(track, layer);
  }

  #count(sent: boolean): void {
    if (sent) this.sent += 1;
    else this.refused += 1;
  }
}

/** What other frames build on goes before what they do not. */
function priorityOf(frame: Buffer, mediaClass: MediaClass): Priority {
  if (mediaClass === AUDIO) return 'audio';
  const marks = frameMarks(frame);
  return temporalOf(marks) === 0 && (marks & DISCARDABLE) === 0 ? 'videoBase' : 'video';
}
