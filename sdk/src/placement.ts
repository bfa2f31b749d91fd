/** One media node that can take the session. */
export interface Place {
  readonly node: string;
  readonly region: string;
  /** WHIP or WHEP endpoint. */
  readonly url: string;
}

/** What control answers to POST /v1/push and /v1/pull: a place, others in order of preference, and a token that is good at all of them. */
export interface Placement extends Place {
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

/** A place to try, with what is needed to enter it. */
export interface Candidate extends Place {
  readonly token: string | undefined;
  readonly iceServers: readonly RTCIceServer[];
}

/**
 * Hands out places: those of the last placement in order, then a new placement that excludes the nodes that failed.
 */
export class Candidates {
  readonly #source: PlacementSource;
  #queue: Candidate[] = [];
  #failed: string[] = [];

  constructor(source: PlacementSource) {
    this.#source = source;
  }

  /** The next place to try. Throws what the placement source throws. */
  async next(): Promise<Candidate> {
    const ready = this.#queue.shift();
    if (ready) return ready;
    const placement = await this.#source(this.#failed);
    // A network that failed everywhere a moment ago may be well now: nodes are excluded once, not for ever.
    this.#failed = [];
    this.#queue = [placement, ...(placement.alternatives ?? [])].map((place) => ({
      node: place.node,
      region: place.region,
      url: place.url,
      token: placement.token,
      iceServers: placement.iceServers ?? [],
    }));
    return this.#queue.shift() as Candidate;
  }

  failed(candidate: Candidate): void {
    if (!this.#failed.includes(candidate.node)) this.#failed.push(candidate.node);
  }
}
