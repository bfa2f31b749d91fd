import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PlacementResponse } from '@millrace/api';
import { newPlayer, type Player } from '@millrace/testkit/webrtc';
import { openSession } from '@millrace/testkit/media';
import { startProcess, type SupervisedProcess } from './supervised-process.ts';

const WHIP_PUBLISHER = fileURLToPath(new URL('./whip-publisher.ts', import.meta.url));

/** Publishes by WHIP from a separate process. */
export function startWhipPublisher(place: PlacementResponse, folder: string): Promise<SupervisedProcess> {
  const env = { ...process.env, MILLRACE_TEST_WHIP_URL: place.url, MILLRACE_TEST_TOKEN: place.token };
  return startProcess(process.execPath, [WHIP_PUBLISHER], join(folder, 'whip-publisher.log'), env);
}

/** Publishes a test picture by plain RTP with FFmpeg. */
export async function startFfmpegPublisher(place: PlacementResponse, folder: string): Promise<SupervisedProcess> {
  const ssrc = 0x6d720e2e;
  const parameters = { 'packetization-mode': 1, 'profile-level-id': '42e01f', 'level-asymmetry-allowed': 1 };
  const track = { kind: 'video', mimeType: 'video/H264', payloadType: 102, clockRate: 90_000, parameters, ssrc };
  const from = await freeUdpPort();
  const address = { ip: '127.0.0.1', port: from };
  const { ip, port } = await openSession(place, 'push', { address, tracks: [track] });
  const input = '-re -f lavfi -i testsrc=size=320x180:rate=30';
  const encoder = '-c:v libx264 -threads 1 -preset ultrafast -tune zerolatency -profile:v baseline -pix_fmt yuv420p -g 30';
  const output = `-payload_type 102 -ssrc ${ssrc} -f rtp rtp://${ip}:${port}?localport=${from}`;
  const args = ['-hide_banner', '-loglevel', 'error', ...[input, encoder, output].join(' ').split(' ')];
  return startProcess(process.env['MILLRACE_FFMPEG'] || 'ffmpeg', args, join(folder, 'ffmpeg.log'));
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

/** Plays by WHEP with an independent WebRTC stack; `session` is the session's URL. */
export async function playWithWerift(place: PlacementResponse): Promise<Player & { session: string }> {
  const player = await newPlayer();
  const headers = { 'content-type': 'application/sdp', authorization: `Bearer ${place.token}` };
  const response = await fetch(place.url, { method: 'POST', headers, body: player.offer });
  const answer = await response.text();
  if (response.status !== 201) throw new Error(`WHEP answered ${response.status}: ${answer}`);
  await player.accept(answer);
  return { ...player, session: new URL(response.headers.get('location')!, response.url).href };
}
