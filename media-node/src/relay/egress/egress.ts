import {
  frameEpoch,
  frameLayer,
  frameTrack,
  MAX_LAYERS,
  MAX_TRACKS,
  MEDIA_HEADER_BYTES,
  type StreamDescription,
  type TrackDescription,
} from '@millrace/api/trunk';
import {
  hasKeyframes,
  isRtcp,
  payloadBytes,
  readRtcp,
  setPayloadType,
  setSequence,
  setSsrc,
  setTimestamp,
  writeSenderReport,
} from '../../rtp/index.ts';
import type { CarriedStream, FrameSink } from '../carried-stream/index.ts';
import type { RtpSocket, RtpSockets, SocketAddress } from '../rtp-sockets.ts';
import { LayerCursor } from './layer-cursor.ts';
import { Rebase } from './rebase.ts';

/** Trunks abandon a segment after about 600 ms (RelayMesh transport.kcp.deadlineMs), so a longer wait is useless. */
const VIDEO_WAIT_MS = 600;
/** The gate's longest wait; a receiver's own jitter buffer conceals what comes later. */
const AUDIO_WAIT_MS = 300;
/** Maximum age of the keyframe at which an egress starts; from an older one viewers would lag behind. */
const MAX_KEYFRAME_AGE_MS = 500;
const MAX_PACKET_BYTES = 2048;

/** Where a track goes: a plain transport of a mediasoup worker, with the ids that its producer expects. */
export interface Attachment extends SocketAddress {
  payloadType: number;
  /** rank: place in the description's order, lowest layer first. Which layer has it may change while the stream runs. */
  layers: { rank: number; ssrc: number }[];
}

export interface EgressCounters {
  packets: number;
  bytes: number;
  /** The socket was full. */
  dropped: number;
}

export interface EgressOptions {
  stream: CarriedStream;
  sockets: RtpSockets;
  now: () => number;
  /** Asks for `tick` at this time, or earlier. */
  wakeBy: (dueMs: number) => void;
  /** A viewer's decoder needs a keyframe. */
  onKeyframeRequest: (track: number, layer: number) => void;
}

interface Output {
  readonly socket: RtpSocket;
  readonly payloadType: number;
  /** By rank. */
  readonly ssrcs: (number | undefined)[];
}

/** One track and layer on its way out. */
interface OutgoingLayer {
  readonly rank: number;
  readonly cursor: LayerCursor;
  readonly rebase: Rebase;
  readonly counters: { packets: number; octets: number };
}

/** A carried stream at its last hop: restores order, renumbers packets so that viewers see one source, and sends them to mediasoup. */
export class Egress implements FrameSink {
  readonly counters: EgressCounters = { packets: 0, bytes: 0, dropped: 0 };
  readonly #options: EgressOptions;
  #tracks: (TrackDescription | undefined)[] = [];
  #epoch = -1;
  readonly #layers: (OutgoingLayer | undefined)[] = new Array<OutgoingLayer | undefined>(MAX_TRACKS * MAX_LAYERS).fill(undefined);
  /** Kept across epochs: viewers keep their SSRC, numbers and timestamps. */
  readonly #rebases = new Map<string, Rebase>();
  readonly #outputs: Output[][] = Array.from({ length: MAX_TRACKS }, () => []);
  readonly #sockets = new Map<string, RtpSocket>();
  #scratch = Buffer.allocUnsafeSlow(MAX_PACKET_BYTES);
  #closed = false;

  constructor(options: EgressOptions) {
    this.#options = options;
  }

  /** Tracks of the epoch; packets of an epoch that is not described yet wait in the ring. */
  describe(description: StreamDescription): void {
    if (description.epoch !== this.#epoch) this.#layers.fill(undefined);
    this.#epoch = description.epoch;
    this.#tracks = [];
    for (const track of description.tracks) this.#tracks[track.track] = track;
    // A layer whose rank has changed goes on under the SSRC, numbers and timestamps of its new rank, from a keyframe on.
    this.#layers.forEach((outgoing, at) => {
      if (outgoing && outgoing.rank !== this.#rankOf(Math.floor(at / MAX_LAYERS), at % MAX_LAYERS)) this.#layers[at] = undefined;
    });
    for (const track of description.tracks) this.#startTrack(track.track);
  }

  /** Sends a track to one more destination. Resolves to the local address, which sends the packets and receives RTCP. */
  async attach(track: number, attachment: Attachment): Promise<SocketAddress> {
    const socket = await this.#socketTo(attachment);
    const ssrcs = new Array<number | undefined>(MAX_LAYERS).fill(undefined);
    for (const { rank, ssrc } of attachment.layers) ssrcs[rank] = ssrc;
    this.#outputs[track]!.push({ socket, payloadType: attachment.payloadType, ssrcs });
    this.#startTrack(track);
    return socket.address;
  }

  /**
   * Undoes `attach` for this destination and SSRC. The socket stays open, since the plain transport accepts packets from this address only.
   */
  detach(track: number, to: SocketAddress, ssrc: number): void {
    const socket = this.#sockets.get(`${to.ip}:${to.port}`);
    this.#outputs[track] = this.#outputs[track]!.filter((output) => output.socket !== socket || !output.ssrcs.includes(ssrc));
  }

  /** A layer is requested again: it restarts at a keyframe, with new numbers. */
  restartLayer(track: number, layer: number): void {
    this.#layers[track * MAX_LAYERS + layer] = undefined;
  }

  onFrame(frame: Buffer, track: number, layer: number, seq: number): void {
    if (this.#outputs[track]!.length === 0) return;
    const outgoing = this.#layers[track * MAX_LAYERS + layer] ?? this.#open(track, layer);
    if (!outgoing) return;
    outgoing.cursor.onPacket(seq, frame, this.#options.now());
    if (outgoing.cursor.waits) this.#options.wakeBy(outgoing.cursor.deadlineMs);
  }

  onEpoch(epoch: number): void {
    // The rings are empty now, so cursors into them are void. The description of the new epoch may have come before.
    if (epoch !== this.#epoch) this.#layers.fill(undefined);
  }

  onSenderReport(frame: Buffer): void {
    const track = frameTrack(frame);
    const layer = frameLayer(frame);
    const outgoing = this.#layers[track * MAX_LAYERS + layer];
    const rtpTimestamp = outgoing?.rebase.reported(
      frame.readUInt32BE(MEDIA_HEADER_BYTES + 8),
      sourceOf(frameEpoch(frame), layer),
    );
    if (!outgoing || rtpTimestamp === undefined) return;
    const ntpSeconds = frame.readUInt32BE(MEDIA_HEADER_BYTES);
    const ntpFraction = frame.readUInt32BE(MEDIA_HEADER_BYTES + 4);
    for (const { socket, ssrcs } of this.#outputs[track]!) {
      const ssrc = ssrcs[outgoing.rank];
      if (ssrc === undefined) continue;
      const report = writeSenderReport({ ssrc, ntpSeconds, ntpFraction, rtpTimestamp, ...outgoing.counters });
      socket.send(report, report.length);
    }
  }

  /** Skips gaps whose deadline has passed; returns when to call again, ms. */
  tick(nowMs: number): number {
    let dueMs = Infinity;
    for (const outgoing of this.#layers) {
      if (!outgoing?.cursor.waits) continue;
      outgoing.cursor.tick(nowMs);
      dueMs = Math.min(dueMs, outgoing.cursor.deadlineMs);
    }
    return dueMs;
  }

  /** Packets counted as lost, over all layers of this epoch. */
  get lost(): number {
    return this.#layers.reduce((sum, outgoing) => sum + (outgoing?.cursor.lost ?? 0), 0);
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
    this.#outputs.forEach((outputs) => (outputs.length = 0));
  }

  /** Sends what the rings already hold, from a recent keyframe on. */
  #startTrack(track: number): void {
    if (this.#outputs[track]!.length === 0) return;
    for (const { layer } of this.#tracks[track]?.layers ?? []) {
      if (this.#layers[track * MAX_LAYERS + layer]) continue;
      const outgoing = this.#open(track, layer);
      outgoing?.cursor.start(this.#options.now(), MAX_KEYFRAME_AGE_MS);
      if (outgoing?.cursor.waits) this.#options.wakeBy(outgoing.cursor.deadlineMs);
    }
  }

  #open(track: number, layer: number): OutgoingLayer | undefined {
    const description = this.#tracks[track];
    const ring = this.#options.stream.ring(track, layer);
    if (!description || !ring || this.#epoch !== this.#options.stream.epoch) return undefined;
    const rank = this.#rankOf(track, layer);
    if (rank === -1) return undefined;
    const rebase = this.#rebaseOf(track, rank, description.codec.clockRate);
    const counters = { packets: 0, octets: 0 };
    const keyframes = description.kind === 'video' && hasKeyframes(description.codec.mimeType);
    const waitMs = description.kind === 'video' ? VIDEO_WAIT_MS : AUDIO_WAIT_MS;
    const cursor = new LayerCursor(
      { ring, keyframes, waitMs },
      {
        emit: (frame, seq, restarted) => this.#emit(frame, { track, layer, rank }, seq, restarted, rebase, counters),
        requestKeyframe: () => this.#options.onKeyframeRequest(track, layer),
      },
    );
    const outgoing = { rank, cursor, rebase, counters };
    this.#layers[track * MAX_LAYERS + layer] = outgoing;
    return outgoing;
  }

  #rankOf(track: number, layer: number): number {
    return this.#tracks[track]?.layers.findIndex((known) => known.layer === layer) ?? -1;
  }

  #rebaseOf(track: number, rank: number, clockRate: number): Rebase {
    const key = `${track}/${rank}/${clockRate}`;
    const known = this.#rebases.get(key);
    if (known) return known;
    const rebase = new Rebase(clockRate);
    this.#rebases.set(key, rebase);
    return rebase;
  }

  #emit(
    frame: Buffer,
    { track, layer, rank }: { track: number; layer: number; rank: number },
    seq: number,
    restarted: boolean,
    rebase: Rebase,
    counters: OutgoingLayer['counters'],
  ): void {
    const nowMs = this.#options.now();
    const timestamp = frame.readUInt32BE(MEDIA_HEADER_BYTES + 4);
    if (restarted) rebase.restart(sourceOf(this.#epoch, layer), seq, timestamp, nowMs);
    const outSeq = rebase.seq(seq);
    const outTimestamp = rebase.timestamp(timestamp, nowMs);
    const length = frame.length - MEDIA_HEADER_BYTES;
    counters.packets += 1;
    counters.octets += payloadBytes(frame, MEDIA_HEADER_BYTES, frame.length);
    const outputs = this.#outputs[track]!;
    for (let i = 0; i < outputs.length; i++) {
      const { socket, payloadType, ssrcs } = outputs[i]!;
      const ssrc = ssrcs[rank];
      if (ssrc === undefined) continue;
      const packet = this.#scratch;
      frame.copy(packet, 0, MEDIA_HEADER_BYTES);
      setPayloadType(packet, 0, payloadType);
      setSequence(packet, 0, outSeq);
      setTimestamp(packet, 0, outTimestamp);
      setSsrc(packet, 0, ssrc);
      this.#count(socket.send(packet, length), length);
      // The kernel usually takes a packet within the call. Otherwise the socket still reads the buffer.
      if (socket.queued > 0) this.#scratch = Buffer.allocUnsafeSlow(MAX_PACKET_BYTES);
    }
  }

  #count(sent: boolean, bytes: number): void {
    if (!sent) {
      this.counters.dropped += 1;
      return;
    }
    this.counters.packets += 1;
    this.counters.bytes += bytes;
  }

  /** One socket for each destination, since a plain transport accepts packets only from its first sender. */
  async #socketTo(to: SocketAddress): Promise<RtpSocket> {
    const key = `${to.ip}:${to.port}`;
    const known = this.#sockets.get(key);
    if (known) return known;
    const socket = await this.#options.sockets.open(to.ip, { ip: to.ip, port: to.port });
    const other = this.#sockets.get(key);
    if (other || this.#closed) {
      socket.close();
      if (!other) throw new Error('the egress is closed');
      return other;
    }
    this.#sockets.set(key, socket);
    socket.onMessage = (packet) => this.#onRtcp(packet, socket);
    return socket;
  }

  #onRtcp(packet: Buffer, socket: RtpSocket): void {
    if (!isRtcp(packet)) return;
    readRtcp(packet, {
      keyframeRequest: (ssrc) => {
        this.#outputs.forEach((outputs, track) => {
          for (const output of outputs) {
            const layer = this.#tracks[track]?.layers[output.ssrcs.indexOf(ssrc)]?.layer;
            if (output.socket === socket && layer !== undefined) this.#options.onKeyframeRequest(track, layer);
          }
        });
      },
    });
  }
}

/** What timestamps are relative to: a layer of an epoch. Epochs have 48 bits, layers 3. */
function sourceOf(epoch: number, layer: number): number {
  return epoch * MAX_LAYERS + layer;
}
