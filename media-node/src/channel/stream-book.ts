import type { Hello, Publication, StreamState, TrackDescription } from '@millrace/api';

/**
 * The streams that this node publishes, those that it subscribes to, and their latest state from control. It outlives connections: each new connection
 * reports publications and subscriptions again, and the known states stay while control is unreachable.
 */
export class StreamBook {
  readonly #publications = new Map<string, Omit<Publication, 'stream'>>();
  readonly #wanted = new Set<string>();
  readonly #known = new Map<string, StreamState>();
  readonly #changed: (stream: string, state: StreamState | undefined) => void;

  /** @param changed called for each stream whose state changed; undefined: it is no longer published */
  constructor(changed: (stream: string, state: StreamState | undefined) => void) {
    this.#changed = changed;
  }

  /** The publications and subscriptions to report to a control replica without state. */
  get said(): Pick<Hello, 'publications' | 'subscriptions'> {
    const publications = [...this.#publications].map(([stream, publication]) => ({ stream, ...publication }));
    return { publications, subscriptions: [...this.#wanted] };
  }

  get states(): StreamState[] {
    return [...this.#known.values()];
  }

  known(stream: string): StreamState | undefined {
    return this.#known.get(stream);
  }

  /** Whether control already sends this stream's changes, because the node publishes it or subscribes to it. */
  carries(stream: string): boolean {
    return this.#wanted.has(stream) || this.#publications.has(stream);
  }

  published(stream: string, publication: Omit<Publication, 'stream'>): void {
    this.#publications.set(stream, publication);
  }

  /** @returns whether this session publishes it in this epoch */
  described(stream: string, epoch: number, session: string, tracks: TrackDescription[]): boolean {
    const mine = this.#publications.get(stream);
    if (mine?.session !== session || mine.epoch !== epoch) return false;
    this.#publications.set(stream, { ...mine, tracks });
    return true;
  }

  /** Control has signed the grant with another key. */
  granted(stream: string, epoch: number, session: string, grant: string): void {
    const mine = this.#publications.get(stream);
    if (mine?.session === session && mine.epoch === epoch) this.#publications.set(stream, { ...mine, grant });
  }

  unpublished(stream: string, epoch: number, session: string): void {
    const mine = this.#publications.get(stream);
    if (mine?.session === session && mine.epoch === epoch) this.#publications.delete(stream);
  }

  /** Control revoked the names of this session. */
  kicked(session: string): void {
    for (const [stream, publication] of this.#publications)
      if (publication.session === session) this.#publications.delete(stream);
  }

  want(stream: string): void {
    this.#wanted.add(stream);
  }

  /** @returns whether it was wanted */
  release(stream: string): boolean {
    if (!this.#wanted.delete(stream)) return false;
    if (!this.#publications.has(stream) && !this.#known.get(stream)?.hold) this.#known.delete(stream);
    return true;
  }

  /** Stores a state unless a later epoch is known: answers and changes may arrive out of order. */
  take(state: StreamState): void {
    const known = this.#known.get(state.stream);
    if (known && known.epoch > state.epoch) return;
    this.#known.set(state.stream, state);
    this.#changed(state.stream, state);
  }

  remove(stream: string): void {
    if (this.#known.delete(stream)) this.#changed(stream, undefined);
  }

  /** Replaces all states. Streams that `states` does not list have ended. */
  replace(states: readonly StreamState[]): void {
    const named = new Set(states.map(({ stream }) => stream));
    for (const stream of [...this.#known.keys()]) if (!named.has(stream)) this.remove(stream);
    for (const state of states) this.take(state);
  }
}
