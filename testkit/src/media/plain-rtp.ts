import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { PlacementResponse } from '@millrace/api';
import type { Clip } from './clip.ts';
import { asksForKeyframe, ClipSender, PAYLOAD_TYPE } from './clip-sender.ts';
import type { ReceivedPacket } from './frame-ledger.ts';
import { sendReports } from './receiver-report.ts';

const SSRC = 0x6d720b01;

export interface PlainSession {
  readonly id: string;
  readonly ip: string;
  readonly port: number;
  readonly ssrc: number | undefined;
}

export interface ClipPublisher {
  readonly sender: ClipSender;
  stop(): Promise<void>;
}

/** Publishes the clip by plain RTP (POST /rtp/push). The frame after an RTCP keyframe request is a keyframe. */
export async function publishClip(place: PlacementResponse, clip: Clip): Promise<ClipPublisher> {
  const socket = await openSocket();
  const parameters = { 'packetization-mode': 1, 'profile-level-id': '42e01f', 'level-asymmetry-allowed': 1 };
  const track = { kind: 'video', mimeType: 'video/H264', payloadType: PAYLOAD_TYPE, clockRate: 90_000, parameters, ssrc: SSRC };
  const address = { ip: '127.0.0.1', port: socket.address().port };
  const session = await openSession(place, 'push', { address, tracks: [track] }).catch((error: unknown) => {
    socket.close();
    throw error;
  });
  const sender = new ClipSender({ clip, ssrc: SSRC, send: (packet) => socket.send(packet, session.port, session.ip) });
  socket.on('message', (packet) => {
    if (asksForKeyframe(packet)) sender.keyframe();
  });
  return {
    sender,
    stop: async () => {
      sender.stop();
      socket.close();
      await closeSession(place, session);
    },
  };
}

export interface PlainViewer {
  readonly session: PlainSession;
  /** The SSRCs of all received packets. */
  readonly ssrcs: ReadonlySet<number>;
  /** Returns the packets received since the last call. */
  take(): ReceivedPacket[];
  stop(): Promise<void>;
}

/** Plays by plain RTP without SRTP (POST /rtp/pull), sends receiver reports, and records the arrival time of each packet. */
export async function openPlainViewer(place: PlacementResponse): Promise<PlainViewer> {
  const socket = await openSocket();
  let packets: ReceivedPacket[] = [];
  const ssrcs = new Set<number>();
  socket.on('message', (packet) => {
    const isRtcp = packet[1]! >= 192 && packet[1]! <= 223;
    if (isRtcp) return;
    ssrcs.add(packet.readUInt32BE(8));
    packets.push({
      sequence: packet.readUInt16BE(2),
      timestamp: packet.readUInt32BE(4),
      marker: packet[1]! >= 0x80,
      atMs: performance.now(),
    });
  });
  const address = { ip: '127.0.0.1', port: socket.address().port };
  const session = await openSession(place, 'pull', { address }).catch((error: unknown) => {
    socket.close();
    throw error;
  });
  sendReports(socket, session);
  return {
    session,
    ssrcs,
    take: () => {
      const taken = packets;
      packets = [];
      return taken;
    },
    stop: async () => {
      socket.close();
      await closeSession(place, session);
    },
  };
}

/** @throws Error with the node's answer when it rejects the session */
export async function openSession(place: PlacementResponse, act: 'push' | 'pull', body: object): Promise<PlainSession> {
  const response = await fetch(new URL(`/rtp/${act}`, place.signaling), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${place.token}` },
    body: JSON.stringify({ stream: place.stream, ...body }),
    signal: AbortSignal.timeout(15_000),
  });
  const text = await response.text();
  if (response.status !== 201)
    throw new Error(`${place.node} answers /rtp/${act} of ${place.stream} with ${response.status}: ${text}`);
  const { session, ip, port, tracks } = JSON.parse(text) as {
    session: string;
    ip: string;
    port: number;
    tracks: { ssrc?: number }[];
  };
  return { id: session, ip, port, ssrc: tracks[0]?.ssrc };
}

export async function closeSession(place: PlacementResponse, session: PlainSession): Promise<void> {
  await fetch(new URL(`/rtp/sessions/${session.id}`, place.signaling), {
    method: 'DELETE',
    signal: AbortSignal.timeout(5_000),
  }).catch(() => undefined); // The node may have ended, and the session with it.
}

async function openSocket(): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 2 ** 20 });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}
