import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import type { PlacementResponse } from '@millrace/api';
import { localAddressTo } from '../local-address.ts';
import { runFfmpeg } from './ffmpeg.ts';
import type { Source } from './ffmpeg.ts';
import { AUDIO, VIDEO } from './tracks.ts';

export interface PublishOptions {
  readonly stream: string;
  readonly source: Source;
  /** Asks control where to push. */
  readonly place: () => Promise<PlacementResponse>;
  readonly signal: AbortSignal;
  readonly onState: (state: string) => void;
  /** Called with each process that is started; returns a function to call when it has ended. */
  readonly adopt: (pid: number) => () => void;
}

const INITIAL_RETRY_MS = 250;
const MAX_RETRY_MS = 4_000;

/** Publishes a source with FFmpeg by plain RTP until the signal aborts; moves to another node when the node is lost. */
export async function publishForever(options: PublishOptions): Promise<void> {
  let retryMs = INITIAL_RETRY_MS;
  while (!options.signal.aborted) {
    const startedAt = Date.now();
    try {
      await publishOnce(options);
    } catch (error) {
      if (options.signal.aborted) return;
      options.onState(error instanceof Error ? error.message : String(error));
    }
    // A long run resets the back-off: only consecutive failures slow down the retries.
    retryMs = Date.now() - startedAt > 10_000 ? INITIAL_RETRY_MS : Math.min(MAX_RETRY_MS, retryMs * 2);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, retryMs);
      options.signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}

async function publishOnce({ stream, source, place, signal, onState, adopt }: PublishOptions): Promise<void> {
  const placement = await place();
  const address = await addressTowards(placement);
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  socket.bind(0, address);
  await once(socket, 'listening');
  const { port } = socket.address();
  const session = await openSession(placement, stream, { ip: address, port }, source.audio !== undefined).catch(
    (error: unknown) => {
      socket.close();
      throw error;
    },
  );
  const ending = new AbortController();
  const either = AbortSignal.any([signal, ending.signal]);
  try {
    funnel(socket, session, () => ending.abort(new Error(`${placement.node} takes no more media`)));
    const watcher = watchSession(placement, session.id, either, () => ending.abort(new Error(`${placement.node} is gone`)));
    onState(`${stream} is published at ${placement.node} in ${placement.region}`);
    await Promise.race([runFfmpeg(source, { address, port }, either, adopt), watcher]);
    either.throwIfAborted();
  } finally {
    ending.abort();
    socket.close();
    await closeSession(placement, session.id);
  }
}

interface RtpSession {
  readonly id: string;
  readonly ip: string;
  readonly port: number;
}

/** The address from which requests reach the node, which accepts plain RTP only from it. */
async function addressTowards({ signaling }: PlacementResponse): Promise<string> {
  const { address } = await lookup(new URL(signaling).hostname.replace(/^\[|\]$/g, ''));
  return localAddressTo(address);
}

async function openSession(
  placement: PlacementResponse,
  stream: string,
  from: { ip: string; port: number },
  hasAudio: boolean,
): Promise<RtpSession> {
  const video = {
    kind: 'video',
    mimeType: 'video/H264',
    clockRate: 90_000,
    parameters: { 'packetization-mode': 1, 'profile-level-id': '42e01f', 'level-asymmetry-allowed': 1 },
    ...VIDEO,
  };
  const audio = { kind: 'audio', mimeType: 'audio/opus', clockRate: 48_000, channels: 2, ...AUDIO };
  const response = await fetch(new URL('/rtp/push', placement.signaling), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${placement.token}` },
    body: JSON.stringify({ stream, address: from, tracks: hasAudio ? [video, audio] : [video] }),
  });
  const body = (await response.json()) as { session: string; ip: string; port: number; title?: string; detail?: string };
  if (response.status !== 201)
    throw new Error(
      `${placement.node} refused the stream: ${[body.title ?? `HTTP ${response.status}`, body.detail].filter(Boolean).join(': ')}`,
    );
  return { id: body.session, ip: body.ip, port: body.port };
}

/** FFmpeg sends each track from its own port; the node requires one port for all tracks of a publisher (RFC 8843). */
function funnel(socket: Socket, session: RtpSession, onRefused: () => void): void {
  socket.on('message', (packet, from) => {
    // The node sends only RTCP, which FFmpeg cannot use.
    if (from.port !== session.port) socket.send(packet, session.port, session.ip);
  });
  socket.on('error', onRefused);
}

const WATCH_INTERVAL_MS = 1_000;

/** Resolves when the node no longer knows the session; plain RTP has no other sign of it. */
async function watchSession(placement: PlacementResponse, id: string, signal: AbortSignal, onLost: () => void): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, WATCH_INTERVAL_MS));
    if (signal.aborted) return;
    const response = await fetch(new URL(`/rtp/sessions/${id}`, placement.signaling), {
      headers: { authorization: `Bearer ${placement.token}` },
      signal: AbortSignal.timeout(2_000),
    }).catch(() => undefined);
    failures = response?.ok ? 0 : failures + 1;
    if (response?.status === 404 || failures >= 2) return onLost();
  }
}

async function closeSession(placement: PlacementResponse, id: string): Promise<void> {
  await fetch(new URL(`/rtp/sessions/${id}`, placement.signaling), {
    method: 'DELETE',
    signal: AbortSignal.timeout(2_000),
  }).catch(() => undefined);
}
