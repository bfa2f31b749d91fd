import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Clip } from '@millrace/testkit/media';
import { ClipSender } from '@millrace/testkit/media';

const STAMP_BYTES = 8;
const BASE_SSRC = 1000;

/** Sends clips in parallel with the sending time in the last bytes of each packet, and measures the delay of each packet that returns. */
export interface TimedStreams {
  readonly port: number;
  /** Sends stream `i` to `targets[i]`, with SSRC `ssrcOf(i)`. */
  start(clip: Clip, targets: readonly { ip: string; port: number }[]): void;
  packets(): number;
  /** The delay of each packet received since the last call, ms. */
  takeDelaysMs(): number[];
  /** Requests a keyframe of stream `i`. */
  keyframe(i: number): void;
  stop(): void;
}

export function ssrcOf(stream: number): number {
  return BASE_SSRC + stream;
}

export async function openTimedStreams(): Promise<TimedStreams> {
  const [out, back] = [await openSocket(), await openSocket()];
  const senders: ClipSender[] = [];
  let delaysMs: number[] = [];
  let packets = 0;
  back.on('message', (packet) => {
    if (packet.length < 12 + STAMP_BYTES || (packet[1]! >= 192 && packet[1]! <= 223)) return;
    packets += 1;
    delaysMs.push(performance.now() - packet.readDoubleBE(packet.length - STAMP_BYTES));
  });
  return {
    port: back.address().port,
    start: (clip, targets) => {
      const roomy = withRoomForStamp(clip);
      targets.forEach(({ ip, port }, i) => {
        const send = (packet: Buffer) => {
          packet.writeDoubleBE(performance.now(), packet.length - STAMP_BYTES);
          out.send(packet, port, ip);
        };
        senders.push(new ClipSender({ clip: roomy, ssrc: ssrcOf(i), send, phase: i / targets.length }));
      });
    },
    packets: () => packets,
    takeDelaysMs: () => {
      const taken = delaysMs;
      delaysMs = [];
      return taken;
    },
    keyframe: (i) => senders[i]?.keyframe(),
    stop: () => {
      for (const sender of senders) sender.stop();
      out.close();
      back.close();
    },
  };
}

/** Appends room for the timestamp to each payload. The timed packets are never decoded. */
function withRoomForStamp(clip: Clip): Clip {
  const frames = clip.frames.map((payloads) => payloads.map((payload) => Buffer.concat([payload, Buffer.alloc(STAMP_BYTES)])));
  return { ...clip, frames };
}

async function openSocket(): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 2 ** 20 });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}
