import type { Hello, StreamState, TrackDescription } from '@millrace/api';

/**
 * What this node publishes, what it wants, and what control said of either. It outlives connections: what is published and wanted is said
 * again at each, and what was known stays while control is away.
 */
export class StreamBook {
  readonly #publications = new Map<string, { epoch: number; session: string; tracks: TrackDescription[] }>();
  readonly #wanted = new Set<string>();
  readonly #known = new Map<string, StreamState>();
  readonly #changed: (stream: string, state: StreamState | undefined) => void;

  /** @param changed is told of each stream of which control said something new; undefined: it is no longer published */
  constructor(changed: (stream: string, state: StreamState | undefined) => void) {
    this.#changed = changed;
  }

  /** What a control that remembers nothing has to hear. */
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

  /** Whether control tells of this stream's changes already, because it is published or wanted here. */
  carries(stream: string): boolean {
    return this.#wanted.has(stream) || this.#publications.has(stream);
  }

  published(stream: string, publication: { epoch: number; session: string; tracks: TrackDescription[] }): void {
    this.#publications.set(stream, publication);
  }

  /** @returns whether this session publishes it in this epoch */
  described(stream: string, epoch: number, session: string, tracks: TrackDescription[]): boolean {
    const mine = this.#publications.get(stream);
    if (mine?.session !== session || mine.epoch !== epoch) return false;
    this.#publications.set(stream, { epoch, session, tracks });
    return true;
  }

  unpublished(stream: string, epoch: number, session: string): void {
    const mine = this.#publications.get(stream);
    if (mine?.session === session && mine.epoch === epoch) this.#publications.delete(stream);
  }

  /** Control took this session's names away. */
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

  /** Answers and changes may overtake each other; the later epoch counts. */
  take(state: StreamState): void {
    const known = this.#known.get(state.stream);
    if (known && known.epoch > state.epoch) return;
    this.#known.set(state.stream, state);
    this.#changed(state.stream, state);
  }

  remove(stream: string): void {
    if (this.#known.delete(stream)) this.#changed(stream, undefined);
  }

  /** All that control knows: what it does not name has ended. */
  replace(states: readonly StreamState[]): void {
    const named = new Set(states.map(({ stream }) => stream));
    for (const stream of [...this.#known.keys()]) if (!named.has(stream)) this.remove(stream);
    for (const state of states) this.take(state);
  }
}
