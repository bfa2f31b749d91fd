import { clientGroup, type Clock } from '@millrace/service';

/** A placement of the same client and stream counts once in this time, ms: longer than nodes take to report a session that came. */
const COUNTED_ONCE_WITHIN_MS = 5_000;
/** Streams for which placements of one client count in that time. */
const MAX_STREAMS_OF_CLIENT = 16;
/** Clients remembered for that time; placements of further ones do not count. */
const MAX_CLIENTS = 20_000;

/** Who asks for a place. An address stands for its /64 where it is IPv6. */
export interface PlacedClient {
  address?: string | undefined;
  /** `jti` of its token. */
  tokenId?: string | undefined;
}

/** By client, the streams of its placements that counted. */
type Counted = Map<string, Set<string>>;

/**
 * Decides which placements count as sessions that will come. Anybody may ask for a place again and again and open no session, so that an address and a
 * token count once for each stream: otherwise one client could make nodes look full. When in doubt a placement does not count, since a node that
 * is full all the same refuses sessions by itself.
 */
export class ComingSessions {
  readonly #clock: Clock;
  /** Two generations, so that forgetting costs nothing: a placement is remembered for one to two times COUNTED_ONCE_WITHIN_MS. */
  #recent: Counted = new Map();
  #older: Counted = new Map();
  #sinceMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.now();
  }

  /** Whether this placement counts; remembers it if it does. Without a client, as when an app places users whose addresses it does not tell, all do. */
  count(stream: string, { address, tokenId }: PlacedClient): boolean {
    const clients = [
      ...(address === undefined ? [] : [`address ${clientGroup(address)}`]),
      ...(tokenId === undefined ? [] : [`token ${tokenId}`]),
    ];
    this.#forget();
    if (clients.some((client) => !this.#mayCount(client, stream))) return false;
    for (const client of clients) {
      const streams = this.#recent.get(client) ?? new Set<string>();
      this.#recent.set(client, streams.add(stream));
    }
    return true;
  }

  #mayCount(client: string, stream: string): boolean {
    const [recent, older] = [this.#recent.get(client), this.#older.get(client)];
    if (recent?.has(stream) || older?.has(stream)) return false;
    if ((recent?.size ?? 0) + (older?.size ?? 0) >= MAX_STREAMS_OF_CLIENT) return false;
    return recent !== undefined || this.#recent.size < MAX_CLIENTS;
  }

  #forget(): void {
    const generations = Math.floor((this.#clock.now() - this.#sinceMs) / COUNTED_ONCE_WITHIN_MS);
    if (generations < 1) return;
    this.#older = generations === 1 ? this.#recent : new Map<string, Set<string>>();
    this.#recent = new Map();
    this.#sinceMs += generations * COUNTED_ONCE_WITHIN_MS;
  }
}
