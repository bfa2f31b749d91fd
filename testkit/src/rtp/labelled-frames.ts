import { h264Payload, rtpPacket } from './packet.ts';

export const FRAME_MS = 1000 / 30;
export const AUDIO_MS = 20;
const KEYFRAME_EVERY = 300;
/** The label at the end of each payload, big-endian: frame number (u32), packet index in the frame (u16), packets in the frame (u16). */
const LABEL_BYTES = 8;

export interface FrameShape {
  packetsPerFrame?: number;
  packetsPerKeyframe?: number;
  packetBytes?: number;
}

/** Creates the packets of a stream with labelled frames; a keyframe on request and every 300 frames. Records the time of each frame. */
export class FrameSource {
  keyframes = 0;
  keyframeWanted = false;
  /** When each frame was created, by frame number. */
  readonly sentMs: number[] = [];
  readonly isKeyframe: boolean[] = [];
  readonly audioSentMs: number[] = [];
  readonly #shape: Required<FrameShape>;
  #seq = 65_000;

  constructor(shape: FrameShape = {}) {
    this.#shape = { packetsPerFrame: 5, packetsPerKeyframe: 20, packetBytes: 1000, ...shape };
  }

  nextFrame(nowMs: number): Buffer[] {
    const frame = this.sentMs.length;
    const keyframe = frame % KEYFRAME_EVERY === 0 || this.keyframeWanted;
    const count = keyframe ? this.#shape.packetsPerKeyframe : this.#shape.packetsPerFrame;
    this.keyframeWanted = false;
    if (keyframe) this.keyframes++;
    this.sentMs.push(nowMs);
    this.isKeyframe.push(keyframe);
    return Array.from({ length: count }, (_, i) => {
      const kind = !keyframe ? 'delta' : i === 0 ? 'keyframe' : 'idr';
      const payload = h264Payload(kind, this.#shape.packetBytes);
      payload.writeUInt32BE(frame, payload.length - LABEL_BYTES);
      payload.writeUInt16BE(i, payload.length - 4);
      payload.writeUInt16BE(count, payload.length - 2);
      const fields = { payloadType: 102, ssrc: 1000, marker: i === count - 1, payload };
      return rtpPacket({ ...fields, seq: this.#seq++, timestamp: frame * 3000 });
    });
  }

  nextAudio(nowMs: number): Buffer {
    const number = this.audioSentMs.length;
    const payload = Buffer.alloc(100);
    payload.writeUInt32BE(number, payload.length - LABEL_BYTES);
    this.audioSentMs.push(nowMs);
    return rtpPacket({ payloadType: 111, ssrc: 2000, payload, seq: number, timestamp: number * 960 });
  }
}

export interface Showing {
  /** The share of the publisher's frames in the period that a decoder could show: complete, as are all frames that they depend on. */
  decodable: number;
  /** The longest time between two decodable frames, ms. */
  longestFreezeMs: number;
  /** Since the start, not only in the period. */
  missingPackets: number;
  /** The share of audio packets that arrived. */
  heard: number;
  /** The time from the publisher until a frame was decodable, ms: 50th and 99th percentile, and maximum. */
  delayMs: { p50: number; p99: number; max: number };
}

/** The frames of a source that a viewer received, in order of arrival: there is no jitter buffer. */
export class FrameAccount {
  readonly #source: FrameSource;
  readonly #whole: { frame: number; atMs: number }[] = [];
  readonly #audio = new Set<number>();
  #next = { frame: -1, packet: 0, startedWhole: false };
  #lastSeq = -1;
  #missing = 0;

  constructor(source: FrameSource) {
    this.#source = source;
  }

  onVideo(packet: Buffer, nowMs: number): void {
    if (isRtcp(packet)) return;
    const seq = packet.readUInt16BE(2);
    if (this.#lastSeq >= 0) this.#missing += (seq - this.#lastSeq - 1) & 0xffff;
    this.#lastSeq = seq;
    const frame = packet.readUInt32BE(packet.length - LABEL_BYTES);
    const index = packet.readUInt16BE(packet.length - 4);
    const packets = packet.readUInt16BE(packet.length - 2);
    const isContinuation = frame === this.#next.frame && index === this.#next.packet && this.#next.startedWhole;
    const startedWhole = index === 0 || isContinuation;
    this.#next = { frame, packet: index + 1, startedWhole };
    if (startedWhole && index === packets - 1) this.#whole.push({ frame, atMs: nowMs });
  }

  onAudio(packet: Buffer): void {
    if (!isRtcp(packet)) this.#audio.add(packet.readUInt32BE(packet.length - LABEL_BYTES));
  }

  /** The publisher's frames in a period, each with the time at which a decoder could show it, if ever. */
  frames(fromMs: number, toMs: number): { sentMs: number; shownMs: number | undefined }[] {
    const { sentMs, isKeyframe } = this.#source;
    const shownMs: number[] = [];
    let last = -1;
    for (const { frame, atMs } of this.#whole) {
      if (frame !== last + 1 && !isKeyframe[frame]) continue;
      last = frame;
      shownMs[frame] = atMs;
    }
    return sentMs.flatMap((ms, frame) => (ms >= fromMs && ms < toMs ? [{ sentMs: ms, shownMs: shownMs[frame] }] : []));
  }

  /** Summarizes how the frames published in a period were shown. */
  showing(fromMs: number, toMs: number): Showing {
    const frames = this.frames(fromMs, toMs);
    const shown = frames.flatMap(({ sentMs, shownMs }) => (shownMs === undefined ? [] : [{ sentMs, shownMs }]));
    const spoken = this.#source.audioSentMs.flatMap((ms, i) => (ms >= fromMs && ms < toMs ? [i] : []));
    const took = shown.map(({ sentMs, shownMs }) => shownMs - sentMs).sort((a, b) => a - b);
    const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? Infinity;
    return {
      decodable: shown.length / frames.length,
      longestFreezeMs: shown.slice(1).reduce((longest, { shownMs }, i) => Math.max(longest, shownMs - shown[i]!.shownMs), 0),
      missingPackets: this.#missing,
      heard: spoken.filter((i) => this.#audio.has(i)).length / spoken.length,
      delayMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
    };
  }
}

function isRtcp(packet: Buffer): boolean {
  return packet[1]! >= 192 && packet[1]! <= 223;
}
