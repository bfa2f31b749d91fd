import type { Handshake } from './handshake.ts';
import { clientOffers, nodeOffers } from './handshake.ts';
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

/** Pulls a stream, by the node's offer or by WHEP (draft-ietf-wish-whep), and follows it from node to node. */
export class Player extends Session<PlayerEvents> {
  readonly #media = new WeakMap<RTCPeerConnection, MediaStream>();
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
    const media = this.#media.get(connection.peer);
    if (media) this.emit('media', media);
  }

  protected override async nodeSaid(connection: Connection, event: string, detail: unknown): Promise<void> {
    if (event === 'move') await this.#move(connection, detail as MoveRequest);
    else if (event === 'ended') this.emit('ended', detail as PlayerEvents['ended']);
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
