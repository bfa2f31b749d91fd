import { eventStream } from './event-stream.ts';
import type { Candidate, PlacementSource } from './placement.ts';
import type { Connection } from './session.ts';
import { Session } from './session.ts';
import type { PlayerStats } from './stats.ts';
import { playerStats } from './stats.ts';

/** A node asks its viewers to go to another one (it drains, or is overloaded). */
export interface MoveRequest {
  readonly url: string;
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

/** Pulls a stream (WHEP, draft-ietf-wish-whep) and follows it from node to node. */
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

  protected override prepare(peer: RTCPeerConnection, _candidate: Candidate): void {
    const media = new MediaStream();
    this.#media.set(peer, media);
    peer.addEventListener('track', ({ track }) => media.addTrack(track));
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
    for await (const { event, data } of eventStream(url, connection.resource.headers, signal)) {
      const detail = JSON.parse(data) as unknown;
      if (event === 'move') await this.#move(connection, detail as MoveRequest);
      else if (event === 'ended') this.emit('ended', detail as PlayerEvents['ended']);
    }
  }

  async #move(connection: Connection, request: MoveRequest): Promise<void> {
    this.emit('move', request);
    const { candidate } = connection;
    try {
      await this.moveTo({
        ...candidate,
        node: new URL(request.url).host,
        url: request.url,
        token: request.token ?? candidate.token,
      });
    } catch (error) {
      // The present node still serves; if it goes before another move comes, the session reconnects by itself.
      this.emit('error', error instanceof Error ? error : new Error(String(error)));
    }
  }
}
