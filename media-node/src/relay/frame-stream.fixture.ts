import type { Hop } from '@millrace/api/trunk';
import { h264Payload, rtpPacket } from '../rtp/packet.fixture.ts';
import type { RelayEvent } from './commands.ts';
import { AUDIO_TRACK, VIDEO_TRACK, type SimulatedMesh, type SimulatedNode } from './simulated-mesh.fixture.ts';

const FRAME_MS = 1000 / 30;
const AUDIO_MS = 20;
const KEYFRAME_EVERY = 300;
/** Number of the frame, of the packet within it, and of packets in it, at the end of each payload. */
const LABEL_BYTES = 8;

export interface FrameStreamOptions {
  packetsPerFrame?: number;
  packetsPerKeyframe?: number;
  packetBytes?: number;
}

/** Video of 30 frames a second, some packets each, and audio of 50 packets a second, as an encoder sends them; keyframes on request and every 10 s. */
export class FramePublisher {
  frames = 0;
  audio = 0;
  keyframes = 0;
  /** By number of frame. */
  readonly sentMs: number[] = [];
  readonly isKeyframe: boolean[] = [];
  readonly audioSentMs: number[] = [];
  readonly #mesh: SimulatedMesh;
  readonly #node: SimulatedNode;
  readonly #stream: string;
  readonly #shape: Required<FrameStreamOptions>;
  #port = 0;
  #seq = 65_000;
  #events = 0;
  #startMs = 0;
  #stopped = false;

  constructor(mesh: SimulatedMesh, node: string, stream: string, options: FrameStreamOptions = {}) {
    this.#mesh = mesh;
    this.#node = mesh.node(node);
    this.#stream = stream;
    this.#shape = { packetsPerFrame: 5, packetsPerKeyframe: 20, packetBytes: 1000, ...options };
  }

  async start(): Promise<void> {
    const request = { id: this.#stream, stream: this.#stream, epoch: 1000, tracks: [VIDEO_TRACK, AUDIO_TRACK], rttMs: 20 };
    this.#port = (await this.#node.relay.ingest(request)).port;
    this.#startMs = this.#mesh.clock.now();
    this.#sendFrame();
    this.#sendAudio();
  }

  stop(): void {
    this.#stopped = true;
  }

  #keyframeAsked(): boolean {
    const events = this.#node.events;
    const asked = events
      .slice(this.#events)
      .some((event: RelayEvent) => event.type === 'keyframe' && event.ingest === this.#stream);
    this.#events = events.length;
    return asked;
  }

  #sendFrame(): void {
    if (this.#stopped) return;
    const keyframe = this.frames % KEYFRAME_EVERY === 0 || this.#keyframeAsked();
    const packets = keyframe ? this.#shape.packetsPerKeyframe : this.#shape.packetsPerFrame;
    if (keyframe) this.keyframes++;
    this.sentMs.push(this.#mesh.clock.now());
    this.isKeyframe.push(keyframe);
    for (let i = 0; i < packets; i++) {
      const kind = !keyframe ? 'delta' : i === 0 ? 'keyframe' : 'idr';
      const payload = h264Payload(kind, this.#shape.packetBytes);
      payload.writeUInt32BE(this.frames, payload.length - LABEL_BYTES);
      payload.writeUInt16BE(i, payload.length - 4);
      payload.writeUInt16BE(packets, payload.length - 2);
      const fields = { payloadType: 102, ssrc: 1000, marker: i === packets - 1, payload };
      this.#node.sockets.deliver(this.#port, rtpPacket({ ...fields, seq: this.#seq++, timestamp: this.frames * 3000 }));
    }
    this.frames++;
    this.#after(this.#startMs + this.frames * FRAME_MS, () => this.#sendFrame());
  }

  #sendAudio(): void {
    if (this.#stopped) return;
    const payload = Buffer.alloc(100);
    payload.writeUInt32BE(this.audio, payload.length - LABEL_BYTES);
    this.audioSentMs.push(this.#mesh.clock.now());
    const fields = { payloadType: 111, ssrc: 2000, payload };
    this.#node.sockets.deliver(this.#port, rtpPacket({ ...fields, seq: this.audio, timestamp: this.audio * 960 }));
    this.audio++;
    this.#after(this.#startMs + this.audio * AUDIO_MS, () => this.#sendAudio());
  }

  #after(atMs: number, run: () => void): void {
    this.#mesh.clock.setTimeout(run, Math.max(0, atMs - this.#mesh.clock.now()));
  }
}

export interface Showing {
  /** Of the publisher's frames of the time, those that a decoder could show: whole, and so is all that they build on. */
  decodable: number;
  /** Longest time between two of them, ms. */
  longestFreezeMs: number;
  missingPackets: number;
  /** Of audio packets. */
  heard: number;
  /** Time from the publisher until a frame was decodable, ms: at the 50th, 99th percentile and the longest. */
  delayMs: { p50: number; p99: number; max: number };
}

let nextViewer = 0;

/** A viewer's node, which takes down what comes of a FramePublisher. */
export class FrameViewer {
  readonly id = `viewer-${nextViewer++}`;
  readonly #mesh: SimulatedMesh;
  readonly #node: SimulatedNode;
  readonly #publisher: FramePublisher;
  readonly #whole: { frame: number; atMs: number }[] = [];
  readonly #audioMs = new Map<number, number>();
  #next = { frame: -1, packet: 0, startedWhole: false };
  #lastSeq = -1;
  #missing = 0;

  constructor(mesh: SimulatedMesh, node: string, publisher: FramePublisher) {
    this.#mesh = mesh;
    this.#node = mesh.node(node);
    this.#publisher = publisher;
  }

  async start(stream: string, path: Hop[], backup: Hop[] = []): Promise<void> {
    const { relay, sockets } = this.#node;
    const port = 61_000 + nextViewer * 2;
    sockets.listen(port, (packet) => this.#onVideo(packet));
    sockets.listen(port + 1, (packet) => this.#onAudio(packet));
    relay.egress({ id: this.id, stream, path, backup, lingerMs: 2000 });
    await relay.attach(this.id, 0, { ip: '127.0.0.1', port, payloadType: 96, layers: [{ layer: 0, ssrc: 7000 }] });
    await relay.attach(this.id, 1, { ip: '127.0.0.1', port: port + 1, payloadType: 97, layers: [{ layer: 0, ssrc: 8000 }] });
  }

  get path(): readonly string[] {
    return this.#node.relay.egressStats(this.id).nodes;
  }

  /** What was shown of what was published from one time to another. */
  showing(fromMs: number, toMs: number): Showing {
    const { sentMs, isKeyframe, audioSentMs } = this.#publisher;
    const shown: { atMs: number; tookMs: number }[] = [];
    let last = -1;
    for (const { frame, atMs } of this.#whole) {
      if (frame !== last + 1 && !isKeyframe[frame]) continue;
      last = frame;
      if (sentMs[frame]! >= fromMs && sentMs[frame]! < toMs) shown.push({ atMs, tookMs: atMs - sentMs[frame]! });
    }
    const published = sentMs.filter((ms) => ms >= fromMs && ms < toMs).length;
    const audio = audioSentMs.map((ms, i) => ({ ms, i })).filter(({ ms }) => ms >= fromMs && ms < toMs);
    const took = shown.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
    const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? Infinity;
    return {
      decodable: shown.length / published,
      longestFreezeMs: shown.slice(1).reduce((longest, { atMs }, i) => Math.max(longest, atMs - shown[i]!.atMs), 0),
      missingPackets: this.#missing,
      heard: audio.filter(({ i }) => this.#audioMs.has(i)).length / audio.length,
      delayMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
    };
  }

  #onVideo(packet: Buffer): void {
    if ((packet[1]! & 0x7f) !== 96) return;
    const seq = packet.readUInt16BE(2);
    if (this.#lastSeq >= 0) this.#missing += (seq - this.#lastSeq - 1) & 0xffff;
    this.#lastSeq = seq;
    const frame = packet.readUInt32BE(packet.length - LABEL_BYTES);
    const index = packet.readUInt16BE(packet.length - 4);
    const packets = packet.readUInt16BE(packet.length - 2);
    const goesOn = frame === this.#next.frame && index === this.#next.packet && this.#next.startedWhole;
    const startedWhole = index === 0 || goesOn;
    this.#next = { frame, packet: index + 1, startedWhole };
    if (startedWhole && index === packets - 1) this.#whole.push({ frame, atMs: this.#mesh.clock.now() });
  }

  #onAudio(packet: Buffer): void {
    if ((packet[1]! & 0x7f) === 97) this.#audioMs.set(packet.readUInt32BE(packet.length - LABEL_BYTES), this.#mesh.clock.now());
  }
}
