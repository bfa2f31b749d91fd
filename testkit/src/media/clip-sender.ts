import { FPS, type Clip } from './clip.ts';

export const PAYLOAD_TYPE = 102;
export const TICKS_PER_FRAME = 90_000 / FPS;

/** Sends a clip as RTP in a loop, in real time, with all packets of a frame at once, as an encoder does. */
export class ClipSender {
  readonly #clip: Clip;
  readonly #ssrc: number;
  readonly #send: (packet: Buffer) => void;
  readonly #startMs: number;
  #timer: NodeJS.Timeout | undefined;
  #sequence = 1;
  #frame = 0;
  #position = 0;
  keyframesAsked = 0;

  /** `phase`: when to send within each frame interval, as a share of it, 0 to 1. */
  constructor(options: { clip: Clip; ssrc: number; send: (packet: Buffer) => void; phase?: number }) {
    this.#clip = options.clip;
    this.#ssrc = options.ssrc;
    this.#send = options.send;
    this.#startMs = performance.now() + ((options.phase ?? 0) * 1000) / FPS;
    this.#schedule();
  }

  /** Restarts the clip, so that the next frame is its keyframe. */
  keyframe(): void {
    this.keyframesAsked += 1;
    this.#position = 0;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    const dueMs = this.#startMs + (this.#frame * 1000) / FPS;
    this.#timer = setTimeout(
      () => {
        this.#sendFrame();
        this.#schedule();
      },
      Math.max(0, dueMs - performance.now()),
    );
  }

  #sendFrame(): void {
    const payloads = this.#clip.frames[this.#position]!;
    payloads.forEach((payload, i) => this.#send(this.#packet(payload, i === payloads.length - 1)));
    this.#frame += 1;
    this.#position = (this.#position + 1) % this.#clip.frames.length;
  }

  #packet(payload: Buffer, marker: boolean): Buffer {
    const packet = Buffer.allocUnsafe(12 + payload.length);
    packet[0] = 0x80;
    packet[1] = (marker ? 0x80 : 0) | PAYLOAD_TYPE;
    packet.writeUInt16BE(this.#sequence & 0xffff, 2);
    packet.writeUInt32BE((this.#frame * TICKS_PER_FRAME) >>> 0, 4);
    packet.writeUInt32BE(this.#ssrc, 8);
    payload.copy(packet, 12);
    this.#sequence += 1;
    return packet;
  }
}

/** Whether an RTCP packet is a keyframe request: PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1). */
export function asksForKeyframe(rtcp: Buffer): boolean {
  for (let at = 0; at + 4 <= rtcp.length; at += 4 * (rtcp.readUInt16BE(at + 2) + 1)) {
    const format = rtcp[at]! & 0x1f;
    if (rtcp[at + 1] === 206 && (format === 1 || format === 4)) return true;
  }
  return false;
}
