import type { Handshake } from './handshake.ts';
import { clientOffers, nodeOffers } from './handshake.ts';
import { eventStream } from './event-stream.ts';
import type { Candidate, PlacementSource } from './placement.ts';
import type { Connection } from './session.ts';
import { Session } from './session.ts';
import type { PlayerStats } from './stats.ts';
import { playerStats } from './stats.ts';

/** A node asks its viewers to go to another one (it drains, or is overloaded). */
export interface MoveRequest {
  readonly url: string;
  /** Base URL of the short signalling forms there. */
  readonly signaling?: string;
  readonly token?: string;
  readonly reason: string;
  /** RFC 3339; until then the present session goes on. */
  readonly deadlineAt?: string;
}

export type PlayerEvents = {
  /** The stream to render; a new one after a reconnect or a move. */
  media: MediaStream;
  move: MoveRequest;
  /** The publisher left. The player waits for it to come back. */
  ended: { reason: string };
};

export interface PlayerOptions {
  readonly placement: PlacementSource;
}

/** How long media may be silent beside a dead event stream before the node counts as gone. */
const SILENCE_MS = 1_000;

/** Pulls a stream, by the node's offer or by WHEP (draft-ietf-wish-whep), and follows it from node to node. */
export class Player extends Session<PlayerEvents> {
  readonly #media = new WeakMap<RTCPeerConnection, MediaStream>();
  #events: AbortController | undefined;
  #startedAt = 0;

  constructor(options: PlayerOptions) {
    super(options.placement);
  }

  get media(): MediaStream | undefined {
    return this.connection && this.#media.get(this.connection.peer);
  }

  override async start(): Promise<void> {
    this.#startedAt = performance.now();
    await super.start();
  }

  /** ms from `start()` to the given moment (as of `performance.now()`), for first-frame times. */
  sinceStartMs(at: number = performance.now()): number {
    return at - this.#startedAt;
  }

  async stats(): Promise<PlayerStats | undefined> {
    return this.connection && playerStats(await this.connection.peer.getStats());
  }

  protected override handshake(candidate: Candidate): Handshake {
    return nodeCanOffer(candidate) ? nodeOffers : clientOffers;
  }

  protected override prepare(peer: RTCPeerConnection, candidate: Candidate): void {
    const media = new MediaStream();
    this.#media.set(peer, media);
    peer.addEventListener('track', ({ track }) => media.addTrack(track));
    if (nodeCanOffer(candidate)) return;
    peer.addTransceiver('video', { direction: 'recvonly' });
    peer.addTransceiver('audio', { direction: 'recvonly' });
  }

  protected override connected(connection: Connection): void {
    this.#events?.abort();
    this.#events = new AbortController();
    const signal = AbortSignal.any([this.signal, this.#events.signal]);
    void this.#listen(connection, signal);
    const media = this.#media.get(connection.peer);
    if (media) this.emit('media', media);
  }

  async #listen(connection: Connection, signal: AbortSignal): Promise<void> {
    const url = `${connection.resource.url}/events`;
    // Another server's WHEP may have no events at all.
    let heard = false;
    const doubt = () => void (heard && this.#judgeSilence(connection, signal));
    for await (const { event, data } of eventStream(url, connection.resource.headers, signal, doubt)) {
      heard = true;
      const detail = JSON.parse(data) as unknown;
      if (event === 'move') await this.#move(connection, detail as MoveRequest);
      else if (event === 'ended') this.emit('ended', detail as PlayerEvents['ended']);
    }
    // The node has ended the session, or was started anew and knows it no more.
    if (heard && !signal.aborted) this.lost(connection, `${connection.candidate.node} has ended the session`, true);
  }

  /** Tells a node that died from one whose signalling alone fails, long before ICE does. */
  async #judgeSilence(connection: Connection, signal: AbortSignal): Promise<void> {
    const before = await receivedBytes(connection.peer);
    await new Promise((resolve) => setTimeout(resolve, SILENCE_MS));
    if (signal.aborted || (await receivedBytes(connection.peer)) > before) return;
    this.lost(connection, `${connection.candidate.node} is silent`);
  }

  async #move(connection: Connection, request: MoveRequest): Promise<void> {
    this.emit('move', request);
    const { candidate } = connection;
    try {
      const { signaling: _left, ...rest } = candidate;
      await this.moveTo({
        ...rest,
        node: new URL(request.url).host,
        url: request.url,
        ...(request.signaling === undefined ? {} : { signaling: request.signaling }),
        token: request.token ?? candidate.token,
      });
    } catch (error) {
      // The present node still serves; if it goes before another move comes, the session reconnects by itself.
      this.emit('error', error instanceof Error ? error : new Error(String(error)));
    }
  }
}

function nodeCanOffer({ signaling, stream }: Candidate): boolean {
  return signaling !== undefined && stream !== undefined;
}

async function receivedBytes(peer: RTCPeerConnection): Promise<number> {
  let bytes = 0;
  const reports = (await peer.getStats()) as unknown as ReadonlyMap<string, { type: string; bytesReceived?: number }>;
  for (const { type, bytesReceived } of reports.values()) if (type === 'inbound-rtp') bytes += bytesReceived ?? 0;
  return bytes;
}
