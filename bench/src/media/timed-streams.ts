import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Clip } from '@millrace/testkit/media';
import { ClipSender } from '@millrace/testkit/media';

const STAMP_BYTES = 8;
const FIRST_SSRC = 1000;

/** Clips sent side by side, each packet with the time at which it left in its last bytes, and how long each took to come back here. */
export interface TimedStreams {
  readonly port: number;
  /** Where stream `i` goes; its packets have SSRC `ssrcOf(i)`. */
  start(clip: Clip, targets: readonly { ip: string; port: number }[]): void;
  packets(): number;
  /** Milliseconds on the way, of each packet since the last call. */
  takeDelaysMs(): number[];
  /** Call for a keyframe of stream `i`. */
  keyframe(i: number): void;
  stop(): void;
}

export function ssrcOf(stream: number): number {
  return FIRST_SSRC + stream;
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

/** Nobody decodes what is timed: the stamp goes behind the payload. */
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
