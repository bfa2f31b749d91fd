import type { Handshake } from './handshake.ts';
import { clientOffers, nodeOffers } from './handshake.ts';
import type { MediaProblem } from './media-problem.ts';
import { decodableCodecs, refusedMedia } from './playable.ts';
import { PlaybackWatch } from './playback-watch.ts';
import type { Candidate, PlacementSource } from './placement.ts';
import type { Connection } from './connection.ts';
import { Session } from './session.ts';
import type { PlayerStats } from './stats.ts';
import { playbackSample, playerStats } from './stats.ts';

const POLL_INTERVAL_MS = 1_000;

export type PlayerEvents = {
  /** The stream to render; a new one after a reconnect or a move. */
  media: MediaStream;
  /** Why there is no picture or sound although connected; undefined once the problem is over. */
  problem: MediaProblem | undefined;
  /** The publisher is gone. If it, or another publisher of the name, comes back soon, the session continues unchanged. */
  paused: { reason: string };
  resumed: Record<never, never>;
  /** The node has ended the session. The player keeps asking for the stream until it is closed. */
  ended: { reason: string };
};

export interface PlayerOptions {
  readonly placement: PlacementSource;
}

/** Pulls a stream, by the node's offer or by WHEP (draft-ietf-wish-whep), and follows it from node to node. */
export class Player extends Session<PlayerEvents> {
  readonly #media = new WeakMap<RTCPeerConnection, MediaStream>();
  #startedAt = 0;
  #isPaused = false;
  #problem: MediaProblem | undefined;

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
    this.#isPaused = false;
    void this.#watchPlayback(connection);
  }

  /** Checks once a second, until the connection is replaced or closed. */
  async #watchPlayback(connection: Connection): Promise<void> {
    const { peer, candidate } = connection;
    const context = { node: candidate.node, decodable: decodableCodecs('video'), userAgent: navigator.userAgent };
    const watch = new PlaybackWatch(context, performance.now());
    const refused = nodeCanOffer(candidate)
      ? refusedMedia(peer.remoteDescription?.sdp ?? '', peer.localDescription?.sdp ?? '')[0]
      : undefined;
    while (this.connection === connection) {
      const sample = playbackSample(await peer.getStats());
      if (this.connection !== connection) return;
      this.#setProblem(watch.look(sample, this.#isPaused, performance.now()) ?? refused);
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
    }
  }

  #setProblem(problem: MediaProblem | undefined): void {
    if (problem?.message === this.#problem?.message) return;
    this.#problem = problem;
    this.emit('problem', problem);
  }

  protected override nodeSaid(event: string, detail: unknown): void {
    if (event === 'paused' || event === 'resumed') this.#isPaused = event === 'paused';
    if (event === 'paused') this.emit('paused', detail as PlayerEvents['paused']);
    else if (event === 'resumed') this.emit('resumed', {});
    else if (event === 'ended') this.emit('ended', detail as PlayerEvents['ended']);
  }
}

function nodeCanOffer({ signaling, stream }: Candidate): boolean {
  return signaling !== undefined && stream !== undefined;
}
