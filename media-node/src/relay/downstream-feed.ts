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
 * Sends a carried stream to one downstream node, unordered; the last hop restores the order. After an outage it replays packets from the ring in
 * batches, as acknowledgements free the send window, which could not hold the whole replay at once.
 */
export class DownstreamFeed implements FrameSink {
  readonly conversations: Conversations;
  readonly #trunk: RelayTrunk;
  readonly #stream: CarriedStream;
  readonly #requestKeyframe: (track: number, layer: number) => void;
  #masks: Uint8Array = new Uint8Array(MAX_TRACKS);
  /** Layers that are being replayed, by track and layer: the next number to send. Live packets wait in the ring behind it. */
  readonly #behind = new Map<number, number>();
  sent = 0;
  refused = 0;

  /** `requestKeyframe`: called when the trunk dropped a frame, so that the layer has to restart at a keyframe. */
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

  /** Frames carry their epoch. */
  onEpoch(): void {
    this.#behind.clear();
  }

  /** Continues replays. Returns whether some are unfinished. */
  tick(): boolean {
    for (const [index, seq] of this.#behind) this.#replay(Math.floor(index / MAX_LAYERS), index % MAX_LAYERS, seq);
    return this.#behind.size > 0;
  }

  /** Sets the requested layers and replays what is missing after `held` and in newly requested layers. */
  setWanted(masks: Uint8Array, held: HeldPosition[]): void {
    const before = this.#masks;
    this.#masks = masks;
    const positions = held.filter((position) => position.epoch === this.#stream.epoch);
    for (const { track, layer, seq } of positions) this.#replay(track, layer, seq + 1);
    for (let track = 0; track < MAX_TRACKS; track++) {
      for (let layer = 0; layer < MAX_LAYERS; layer++) {
        const isNew = (masks[track]! & ~before[track]! & (1 << layer)) !== 0;
        const isHeld = positions.some((position) => position.track === track && position.layer === layer);
        if (isNew && !isHeld) this.#replayFromKeyframe(track, layer);
      }
    }
  }

  #replayFromKeyframe(track: number, layer: number): void {
    const ring = this.#stream.ring(track, layer);
    if (ring?.mediaClass === VIDEO && ring.keyframe !== -1) this.#replay(track, layer, ring.keyframe);
  }

  #replay(track: number, layer: number, from: number): void {
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

/** Frames that other frames depend on are sent first. */
function priorityOf(frame: Buffer, mediaClass: MediaClass): Priority {
  if (mediaClass === AUDIO) return 'audio';
  const marks = frameMarks(frame);
  return temporalOf(marks) === 0 && (marks & DISCARDABLE) === 0 ? 'videoBase' : 'video';
}
