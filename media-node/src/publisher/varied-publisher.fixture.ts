import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { seededRandom } from '@millrace/service';
import { h264Payload, rtpPacket } from '@millrace/testkit/rtp';
import { vp8Frame } from '@millrace/testkit/webrtc';

type Announced = 'right' | 'wrong' | 'absent';
type ParameterSets = 'each' | 'once' | 'sprop';

/** Sequence and picture parameter set of a 640x360 Constrained Baseline stream. */
const SPS = Buffer.from('Z0LAHtkAoC/5YQAAAwABAAADAGSPFi5I', 'base64');
const PPS = Buffer.from('aMuMsg==', 'base64');
/** SEI message with recovery_frame_cnt 0 (H.264 section D.1.8). */
const RECOVERY_POINT = Buffer.from([0x06, 6, 1, 0xc4, 0x80]);

/** How one publisher's RTP looks. Everything that a real encoder may choose varies with the seed. */
export interface Variation {
  codec: 'VP8' | 'H264';
  hasAudio: boolean;
  /** Bytes of an RTP payload at most; frames are cut into packets of this size. */
  packetBytes: number;
  packetsPerFrame: number;
  payloadTypes: { audio: number; video: number };
  ssrcs: { audio: number; video: number };
  announced: Announced;
  /** Of H.264: in band with each keyframe, with the first one only, or in the description alone. */
  parameterSets: ParameterSets;
  /** First sequence number and timestamp. */
  seq: number;
  timestamp: number;
  /** Frames from one keyframe to the next. */
  keyframeInterval: number;
  /** Of H.264: later keyframes are IDR pictures, or recovery points. */
  gop: 'closed' | 'open';
}

/** Equal seeds give equal publishers. */
export function variation(seed: number): Variation {
  const random = seededRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <T>(...all: T[]): T => all[below(all.length)]!;
  const payloadType = (): number => (below(3) === 0 ? 35 + below(29) : 96 + below(32));
  const video = payloadType();
  const audio = [payloadType(), 97, 98].find((candidate) => candidate !== video)!;
  return {
    codec: pick('VP8', 'H264'),
    hasAudio: below(2) === 0,
    packetBytes: 100 + below(1100),
    packetsPerFrame: 1 + below(3),
    payloadTypes: { audio, video },
    ssrcs: { audio: 1 + below(2 ** 31), video: 2 ** 31 + below(2 ** 31) },
    announced: pick<Announced>('right', 'wrong', 'absent'),
    parameterSets: pick<ParameterSets>('each', 'once', 'sprop'),
    seq: pick(0, below(65_536), 65_530),
    timestamp: pick(0, below(2 ** 32), 2 ** 32 - 90_000),
    keyframeInterval: pick(15, 30, 60),
    gop: pick('closed', 'open'),
  };
}

/** Another SSRC than this one, the same each time. */
export const wrongSsrc = (ssrc: number): number => (ssrc ^ 0x55) >>> 0;

/** Sends a variation's packets, 30 frames a second, from a socket of its own on loopback. */
export class VariedPublisher {
  readonly variation: Variation;
  readonly socket: Socket;
  /** Requests for a keyframe that came back (RFC 4585 PLI, RFC 5104 FIR). */
  keyframeRequests = 0;
  /** Faults, changed while it runs. */
  keyframes: 'always' | 'never' = 'always';
  #frame = 0;
  #hasSentSets = false;
  #seq: { audio: number; video: number };
  #timer: NodeJS.Timeout | undefined;

  private constructor(of: Variation, socket: Socket) {
    this.variation = structuredClone(of);
    this.socket = socket;
    this.#seq = { audio: of.seq, video: of.seq };
    socket.on('message', (message) => {
      const isKeyframeRequest = message[1] === 206 && [1, 4].includes(message[0]! & 31);
      if (isKeyframeRequest) this.keyframeRequests += 1;
    });
  }

  static async start(of: Variation): Promise<VariedPublisher> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new VariedPublisher(of, socket);
  }

  /** The tracks as POST /rtp/push takes them. */
  get tracks(): object[] {
    const { codec, hasAudio, payloadTypes, ssrcs, announced, parameterSets } = this.variation;
    const sprop =
      parameterSets === 'sprop' ? { 'sprop-parameter-sets': `${SPS.toString('base64')},${PPS.toString('base64')}` } : {};
    const ssrc = (of: number): object => (announced === 'absent' ? {} : { ssrc: announced === 'right' ? of : wrongSsrc(of) });
    const video = {
      kind: 'video',
      mimeType: `video/${codec}`,
      payloadType: payloadTypes.video,
      clockRate: 90_000,
      parameters: codec === 'H264' ? sprop : {},
    };
    const audio = { kind: 'audio', mimeType: 'audio/opus', payloadType: payloadTypes.audio, clockRate: 48_000, channels: 2 };
    return [{ ...video, ...ssrc(ssrcs.video) }, ...(hasAudio ? [{ ...audio, ...ssrc(ssrcs.audio) }] : [])];
  }

  sendTo(port: number, ip = '127.0.0.1'): void {
    this.#timer = setInterval(() => {
      for (const packet of this.#nextFrame()) this.socket.send(packet, port, ip);
    }, 33);
  }

  /** Goes on under another SSRC, sequence and timestamp, as after a collision (RFC 3550 section 8.2) or a restart. */
  changeSsrcs(): void {
    const { ssrcs } = this.variation;
    this.variation.ssrcs = { audio: wrongSsrc(ssrcs.audio), video: wrongSsrc(ssrcs.video) };
    this.#seq = { audio: this.#seq.audio + 20_000, video: this.#seq.video + 30_000 };
    this.#frame = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  close(): void {
    this.stop();
    this.socket.close();
  }

  #h264Kind(isKeyframe: boolean): H264Kind {
    if (!isKeyframe) return 'delta';
    const { gop, parameterSets } = this.variation;
    const isInBand = parameterSets === 'each' || (parameterSets === 'once' && !this.#hasSentSets);
    this.#hasSentSets ||= isInBand;
    if (isInBand) return 'keyframe';
    return gop === 'open' && this.#frame > 0 ? 'recovery' : 'idr';
  }

  #nextFrame(): Buffer[] {
    const { codec, hasAudio, packetBytes, packetsPerFrame, payloadTypes, ssrcs, timestamp, keyframeInterval } = this.variation;
    const isKeyframe = this.keyframes === 'always' && this.#frame % keyframeInterval === 0;
    const packets: Buffer[] = [];
    for (let i = 0; i < packetsPerFrame; i++) {
      const isFirst = i === 0;
      packets.push(
        rtpPacket({
          payloadType: payloadTypes.video,
          ssrc: ssrcs.video,
          seq: this.#seq.video++,
          timestamp: timestamp + this.#frame * 3000,
          marker: i === packetsPerFrame - 1,
          payload:
            codec === 'VP8'
              ? vp8Packet(isKeyframe, isFirst, packetBytes)
              : h264Packet(this.#h264Kind(isKeyframe && isFirst), isFirst, packetBytes),
        }),
      );
    }
    if (hasAudio) {
      const fields = { payloadType: payloadTypes.audio, ssrc: ssrcs.audio, seq: this.#seq.audio++ };
      packets.push(rtpPacket({ ...fields, timestamp: timestamp + this.#frame * 1584, payload: Buffer.alloc(60, 0x78) }));
    }
    this.#frame += 1;
    return packets;
  }
}

/** Later packets of a frame lack the start-of-partition bit (RFC 7741 section 4.2). */
function vp8Packet(isKeyframe: boolean, isFirst: boolean, bytes: number): Buffer {
  const frame = Buffer.from(vp8Frame(isKeyframe));
  const body = isFirst ? frame : Buffer.concat([Buffer.from([frame[0]! & ~0x10]), frame.subarray(1)]);
  return Buffer.concat([body, Buffer.alloc(Math.max(0, bytes - body.length), 0x22)]);
}

type H264Kind = 'keyframe' | 'idr' | 'recovery' | 'delta';

/**
 * A keyframe begins with a STAP-A of both parameter sets, a recovery point with one of its SEI message (RFC 6184 section 5.7.1). Slices are made up but for the head of a frame's first one: it starts at
 * macroblock 0 and names picture parameter set 0 (ITU-T H.264 section 7.3.3).
 */
function h264Packet(kind: H264Kind, isFirst: boolean, bytes: number): Buffer {
  const isIdr = kind === 'keyframe' || kind === 'idr';
  const slice = h264Payload(isIdr ? 'idr' : 'delta', Math.max(4, bytes - 60));
  if (isFirst) slice.set(isIdr ? [0x88, 0x84] : [0x9a], 1);
  if (kind === 'idr' || kind === 'delta') return slice;
  const units = [...(kind === 'keyframe' ? [SPS, PPS] : [RECOVERY_POINT]), slice].flatMap((unit) => [
    Buffer.from([unit.length >> 8, unit.length & 255]),
    unit,
  ]);
  return Buffer.concat([Buffer.from([0x78]), ...units]);
}
