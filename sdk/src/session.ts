import type { Connection } from './connection.ts';
import { connectedPeer } from './connected-peer.ts';
import { Emitter } from './emitter.ts';
import type { Handshake } from './handshake.ts';
import { clientOffers } from './handshake.ts';
import { MediaProblem } from './media-problem.ts';
import { movedTo, type MoveRequest } from './move.ts';
import { followNode } from './node-events.ts';
import type { Candidate, PlacementSource } from './placement.ts';
import { Candidates } from './placement.ts';
import type { SessionResource } from './signaling.ts';
import { deleteSession } from './signaling.ts';
import { SignalingError } from './signaling-error.ts';

export type SessionState = 'idle' | 'connecting' | 'live' | 'reconnecting' | 'closed';

export type SessionEvents = {
  state: SessionState;
  /** The node that serves the session now. */
  place: { node: string; region: string; url: string };
  /** The node asked the client to move; the SDK does so by itself. */
  move: MoveRequest;
  /** An attempt failed; others follow unless the state becomes `closed`. A `MediaProblem` says why no media connection was established, and what may help. */
  error: Error;
};

interface Leaving {
  readonly connection: Connection;
  lost?: () => void;
}

const INITIAL_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 8_000;
/** `disconnected` often recovers by itself; after this long, connecting to another node is faster. */
const DISCONNECTED_GRACE_MS = 2_500;

/**
 * A push or a pull that survives the loss of its node: it connects to the placed node; when that node is lost it tries the alternatives in order,
 * then asks for a new placement, with jittered exponential back-off, until it is closed or permanently refused.
 */
export abstract class Session<Extra extends Record<string, unknown>> extends Emitter<SessionEvents & Extra> {
  readonly #candidates: Candidates;
  readonly #closing = new AbortController();
  #state: SessionState = 'idle';
  #connection: Connection | undefined;
  #following: AbortController | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #attempts = 0;
  #wasLive = false;
  #last: SessionResource | undefined;
  /** Why the last place could not be reached. */
  #unreached: MediaProblem | undefined;
  /** The connection that is being replaced by a new one, and whether it was lost meanwhile. */
  #leaving: Leaving | undefined;

  constructor(source: PlacementSource) {
    super();
    this.#candidates = new Candidates(source);
  }

  get state(): SessionState {
    return this.#state;
  }

  get connection(): Connection | undefined {
    return this.#connection;
  }

  protected get signal(): AbortSignal {
    return this.#closing.signal;
  }

  /** Adds tracks or transceivers to a new peer connection. */
  protected abstract prepare(peer: RTCPeerConnection, candidate: Candidate): void | Promise<void>;

  /** Which side offers, and over which endpoint. */
  protected handshake(_candidate: Candidate): Handshake {
    return clientOffers;
  }

  /** The URL to which the offer is posted; `last` is the previous session, if there was one. */
  protected entry(candidate: Candidate, _last: SessionResource | undefined): Candidate {
    return candidate;
  }

  /** Called when a connection is established, after it replaced the old one (if any). */
  protected abstract connected(connection: Connection, old: Connection | undefined): void;

  /** The node sent an event of the session, other than `move`. */
  protected nodeSaid(_event: string, _detail: unknown): void {
    // Only players use them.
  }

  /** Starts the session and resolves when it is live; rejects when it is closed before that, by the caller or because it is permanently refused. */
  async start(): Promise<void> {
    if (this.#state !== 'idle') throw new Error(`the session is ${this.#state} already`);
    this.#setState('connecting');
    const live = new Promise<void>((resolve, reject) => {
      const stop = this.on('state', (state) => {
        if (state !== 'live' && state !== 'closed') return;
        stop();
        if (state === 'live') resolve();
        else reject(this.#closing.signal.reason instanceof Error ? this.#closing.signal.reason : new Error('closed'));
      });
    });
    void this.#connectSomewhere();
    return live;
  }

  /** Ends the session here and on the node. */
  async close(reason: Error = new Error('closed by the app')): Promise<void> {
    if (this.#state === 'closed') return;
    this.#closing.abort(reason);
    clearTimeout(this.#retry);
    this.#setState('closed');
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection) await discard(connection);
  }

  /** Connects to the other node while the present connection is still up, then closes the latter (make before break). */
  async #move(connection: Connection, request: MoveRequest): Promise<void> {
    const { candidate } = connection;
    this.emit('move', request as (SessionEvents & Extra)['move']);
    const leaving: Leaving = (this.#leaving = { connection });
    try {
      this.#adopt(await this.#connect(movedTo(candidate, request)));
    } catch (error) {
      this.emit('error', errorOf(error) as (SessionEvents & Extra)['error']);
    } finally {
      this.#leaving = undefined;
    }
    // If the present node still serves, a failed move costs nothing.
    leaving.lost?.();
  }

  async #connectSomewhere(): Promise<void> {
    if (this.#connection) return;
    try {
      const candidate = await this.#nextCandidate();
      try {
        this.#adopt(await this.#connect(candidate));
      } catch (error) {
        if (error instanceof SignalingError && error.status === 404) this.#candidates.restart();
        else this.#candidates.failed(candidate);
        if (error instanceof MediaProblem) this.#unreached = error;
        throw error;
      }
    } catch (error) {
      if (this.#state === 'closed') return;
      const failure = errorOf(error);
      this.emit('error', failure as (SessionEvents & Extra)['error']);
      if (this.#isFinal(failure)) return void this.close(failure);
      this.#retryLater(failure instanceof SignalingError ? failure.retryAfterS : undefined);
    }
  }

  /** When every place failed and no new placement can be obtained, throws why the last place failed, which says more than the placement's error. */
  async #nextCandidate(): Promise<Candidate> {
    try {
      return await this.#candidates.next();
    } catch (error) {
      throw this.#unreached ?? error;
    } finally {
      this.#unreached = undefined;
    }
  }

  /** A publisher that was live may find its own name taken until the network notices that its node is lost. */
  #isFinal(error: Error): boolean {
    if (error instanceof MediaProblem) return error.reason === 'CodecRefused';
    return error instanceof SignalingError && error.isFinal && !(error.status === 409 && this.#wasLive);
  }

  #retryLater(retryAfterS: number | undefined): void {
    const ceilingMs = Math.min(MAX_BACKOFF_MS, INITIAL_BACKOFF_MS * 2 ** this.#attempts++);
    // "Full jitter" keeps a region's viewers from reconnecting all at once.
    const waitMs = retryAfterS === undefined ? Math.random() * ceilingMs : retryAfterS * 1_000;
    this.#retry = setTimeout(() => void this.#connectSomewhere(), waitMs);
  }

  async #connect(candidate: Candidate): Promise<Connection> {
    const peer = new RTCPeerConnection({ iceServers: [...candidate.iceServers], bundlePolicy: 'max-bundle' });
    let resource: SessionResource | undefined;
    try {
      await this.prepare(peer, candidate);
      resource = await this.handshake(candidate)(peer, this.entry(candidate, this.#last), this.signal);
      await connectedPeer(peer, candidate.node, this.signal);
      return { candidate: { ...candidate, node: resource.node ?? candidate.node }, peer, resource };
    } catch (error) {
      peer.close();
      if (resource) void deleteSession(resource);
      throw error;
    }
  }

  #adopt(connection: Connection): void {
    if (this.#state === 'closed') return void discard(connection);
    const old = this.#connection;
    this.#connection = connection;
    this.#last = connection.resource;
    this.#attempts = 0;
    this.#wasLive = true;
    this.#watch(connection);
    this.#follow(connection);
    this.connected(connection, old);
    if (old) void discard(old);
    const { node, region, url } = connection.candidate;
    this.emit('place', { node, region, url } as (SessionEvents & Extra)['place']);
    this.#setState('live');
  }

  /** Replaces a lost connection. `ended`: the node ended the session itself, so it may serve the next one. */
  #lost(connection: Connection, reason: string, ended = false): void {
    if (this.#connection !== connection || this.#state === 'closed') return;
    if (this.#leaving?.connection === connection) {
      // A node may end a publisher's session as soon as another publisher has its name.
      this.#leaving.lost = () => this.#lost(connection, reason, ended);
      return;
    }
    this.#connection = undefined;
    this.#following?.abort();
    if (ended) this.#candidates.restart();
    else this.#candidates.failed(connection.candidate);
    void discard(connection);
    this.emit('error', new Error(reason) as (SessionEvents & Extra)['error']);
    this.#setState('reconnecting');
    void this.#connectSomewhere();
  }

  #follow(connection: Connection): void {
    this.#following?.abort();
    this.#following = new AbortController();
    void followNode(connection, AbortSignal.any([this.signal, this.#following.signal]), {
      event: (event, detail) => {
        // A late event of a node that the session has left meanwhile.
        if (this.#connection !== connection) return;
        if (event === 'move') return this.#move(connection, detail as MoveRequest);
        this.nodeSaid(event, detail);
      },
      gone: (reason, ended) => this.#lost(connection, reason, ended),
    });
  }

  #watch(connection: Connection): void {
    const { peer, candidate } = connection;
    let grace: ReturnType<typeof setTimeout> | undefined;
    peer.addEventListener('connectionstatechange', () => {
      clearTimeout(grace);
      if (peer.connectionState === 'failed') this.#lost(connection, `the connection to ${candidate.node} failed`);
      if (peer.connectionState !== 'disconnected') return;
      grace = setTimeout(
        () => this.#lost(connection, `${candidate.node} was not heard of for ${DISCONNECTED_GRACE_MS} ms`),
        DISCONNECTED_GRACE_MS,
      );
    });
  }

  #setState(state: SessionState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('state', state as (SessionEvents & Extra)['state']);
  }
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

async function discard({ peer, resource }: Connection): Promise<void> {
  peer.close();
  await deleteSession(resource);
}
