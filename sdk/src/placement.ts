/** One media node that can take the session. */
export interface Place {
  readonly node: string;
  readonly region: string;
  /** WHIP or WHEP endpoint. */
  readonly url: string;
  /** Base URL of the short signalling forms, in which the node offers. */
  readonly signaling?: string;
}

/** What control answers to POST /v1/push and /v1/pull: a place, alternatives in order of preference, and a token that is valid at all of them. */
export interface Placement extends Place {
  /** `app/name`; with `signaling` set, a player can use the node's offer. */
  readonly stream?: string;
  readonly token?: string;
  readonly iceServers?: readonly RTCIceServer[];
  readonly alternatives?: readonly Place[];
}

/**
 * Asks for a placement. An app calls its own backend here, which holds the app key and calls control.
 * @param exclude nodes that could not be reached.
 */
export type PlacementSource = (exclude: readonly string[]) => Promise<Placement>;

/** A placement for clients that know the endpoint already. */
export function fixedPlacement(url: string, token?: string): PlacementSource {
  const place = { node: new URL(url).host, region: '', url, alternatives: [] };
  return () => Promise.resolve(token === undefined ? place : { ...place, token });
}

/** A place to try, with the credentials for it. */
export interface Candidate extends Place {
  readonly stream: string | undefined;
  readonly token: string | undefined;
  readonly iceServers: readonly RTCIceServer[];
}

/** Loads change and tokens expire: alternatives of an older placement are used only when no new placement can be obtained. */
const FRESH_MS = 60_000;

/**
 * Hands out places: those of the last placement in order, then a new placement that excludes the nodes that failed.
 */
export class Candidates {
  readonly #source: PlacementSource;
  readonly #now: () => number;
  #placedAt = -Infinity;
  #queue: Candidate[] = [];
  #failed: string[] = [];

  /** @param now ms, monotonic */
  constructor(source: PlacementSource, now: () => number = () => performance.now()) {
    this.#source = source;
    this.#now = now;
  }

  /** The next place to try. Throws what the placement source throws. */
  async next(): Promise<Candidate> {
    const isFresh = this.#now() - this.#placedAt < FRESH_MS;
    const ready = isFresh ? this.#queue.shift() : undefined;
    if (ready) return ready;
    // A network that failed everywhere a moment ago may have recovered: nodes are excluded once, not forever.
    const failed = this.#failed;
    this.#failed = [];
    let placement: Placement;
    try {
      placement = await this.#source(failed);
    } catch (error) {
      const old = this.#queue.shift();
      if (old) return old;
      throw error;
    }
    this.#placedAt = this.#now();
    this.#queue = [placement, ...(placement.alternatives ?? [])].map((place) => ({
      node: place.node,
      region: place.region,
      url: place.url,
      ...(place.signaling === undefined ? {} : { signaling: place.signaling }),
      stream: placement.stream,
      token: placement.token,
      iceServers: placement.iceServers ?? [],
    }));
    return this.#queue.shift() as Candidate;
  }

  /** Takes the next place from a new placement, because the failure was not the node's fault. */
  restart(): void {
    this.#placedAt = -Infinity;
  }

  failed(candidate: Candidate): void {
    if (!this.#failed.includes(candidate.node)) this.#failed.push(candidate.node);
  }
}
