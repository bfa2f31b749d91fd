import { backoffMs, type Clock, type Logger, type Timer } from '@millrace/service';
import { Redis } from 'ioredis';
import type {
  Announcement,
  Claim,
  DirectoryChange,
  Held,
  NodePresence,
  PublishOutcome,
  StreamDirectory,
  StreamEntry,
  StreamPage,
} from './directory.ts';
import { DEFAULT_LEASE_MS } from './directory.ts';
import { readChange, readEntry } from './redis-changes.ts';
import { SCRIPTS } from './redis-scripts.ts';

type Script = (prefix: string, ...args: (string | number)[]) => Promise<unknown>;
type Scripted = Redis & Record<keyof typeof SCRIPTS, Script>;

const ENTRY_FIELDS = 6;
const MIN_RESYNC_INTERVAL_MS = 1000;
const RECONNECT = { baseMs: 100, maxMs: 2000 };

/** The directory that all control replicas share. Every decision is one Lua script; Redis' own clock times the leases. */
export class RedisDirectory implements StreamDirectory {
  readonly #redis: Scripted;
  readonly #subscriber: Redis;
  readonly #prefix: string;
  readonly #leaseMs: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #listeners = new Set<(change: DirectoryChange) => void>();
  #sweep: Timer | undefined;
  #resyncTimer: Timer | undefined;
  #lastResyncMs = -Infinity;
  #closed = false;

  private constructor(redis: Redis, options: { prefix: string; leaseMs: number; clock: Clock; logger: Logger }) {
    this.#redis = redis as Scripted;
    this.#prefix = options.prefix;
    this.#leaseMs = options.leaseMs;
    this.#clock = options.clock;
    this.#logger = options.logger;
    for (const [name, definition] of Object.entries(SCRIPTS)) redis.defineCommand(name, definition);
    this.#subscriber = redis.duplicate({ enableOfflineQueue: true, commandTimeout: undefined });
  }

  /** `fleet` separates fleets that share a Redis. Rejects when Redis does not answer. */
  static async connect(options: {
    url: string;
    clock: Clock;
    logger: Logger;
    fleet: string;
    leaseMs?: number;
  }): Promise<RedisDirectory> {
    const redis = new Redis(options.url, {
      lazyConnect: true,
      maxRetriesPerRequest: 1,
      enableOfflineQueue: false,
      commandTimeout: 2000,
      connectTimeout: 5000,
      retryStrategy: (times) => backoffMs(RECONNECT, times, Math.random),
    });
    const directory = new RedisDirectory(redis, {
      // A hash tag, which maps all keys to one slot of a cluster. Channels have it too, since database numbers do not separate them.
      prefix: `{millrace:${options.fleet}}:`,
      leaseMs: options.leaseMs ?? DEFAULT_LEASE_MS,
      clock: options.clock,
      logger: options.logger,
    });
    try {
      await directory.#open();
    } catch (error) {
      await directory.close();
      throw error;
    }
    return directory;
  }

  async #open(): Promise<void> {
    for (const connection of [this.#redis, this.#subscriber]) {
      connection.on('error', (err) => this.#logger.warn({ err }, 'redis connection'));
    }
    await this.#redis.connect();
    await this.#subscriber.connect();
    this.#subscriber.on('message', (_channel, message) => this.#heard(message));
    await this.#subscriber.subscribe(`${this.#prefix}changes`);
    // ioredis subscribes again by itself, but the messages in between are lost.
    this.#subscriber.on('ready', () => this.#emit({ type: 'resync' }));
    this.#scheduleSweep();
  }

  async publish(claim: Claim): Promise<PublishOutcome> {
    const { takeover, user, ...body } = claim;
    const answer = (await this.#redis.millracePublish(
      this.#prefix,
      claim.stream,
      claim.node,
      claim.session,
      JSON.stringify(user ?? null),
      takeover ? 1 : 0,
      this.#leaseMs,
      JSON.stringify(body),
    )) as [number, ...string[]];
    const [won, ...fields] = answer;
    const [first, second] = entriesOf(fields);
    if (won !== 1) return { ok: false, holder: first! };
    return second ? { ok: true, entry: first!, replaced: second } : { ok: true, entry: first! };
  }

  async announce(announcement: Announcement): Promise<Held[]> {
    const { node, publications, ...where } = announcement;
    const args = publications.flatMap(({ stream, epoch, session, tracks }) => [
      stream,
      epoch,
      session,
      JSON.stringify({ stream, node, ...where, session, tracks }),
    ]);
    const answer = (await this.#redis.millraceAnnounce(this.#prefix, node, this.#leaseMs, ...args)) as string[];
    const sessions = new Map(publications.map((publication) => [publication.stream, publication.session]));
    const held: Held[] = [];
    for (let i = 0; i < answer.length; i += ENTRY_FIELDS + 1) {
      const stream = answer[i]!;
      const session = sessions.get(stream)!;
      const fields = answer.slice(i + 1, i + 1 + ENTRY_FIELDS);
      // An empty node: nobody holds it.
      held.push(fields[0] === '' ? { stream, session } : { stream, session, holder: entriesOf(fields)[0]! });
    }
    return held;
  }

  async describe({ epoch, ...body }: Omit<Claim, 'takeover' | 'user'> & { epoch: number }): Promise<StreamEntry | undefined> {
    const { stream, session } = body;
    const answer = await this.#redis.millraceDescribe(this.#prefix, stream, epoch, session, JSON.stringify(body));
    return entriesOf(answer as string[])[0];
  }

  async unpublish(stream: string, epoch: number, session: string): Promise<boolean> {
    return (await this.#redis.millraceUnpublish(this.#prefix, stream, epoch, session)) === 1;
  }

  async get(stream: string): Promise<StreamEntry | undefined> {
    return (await this.#read([stream]))[0];
  }

  async list(query: { node?: string; prefix?: string; limit: number; continue?: string }): Promise<StreamPage> {
    const prefix = query.prefix ?? '';
    const names =
      query.node === undefined
        ? await this.#names(prefix, query.continue, query.limit + 1)
        : await this.#namesOf(query.node, prefix, query.continue);
    const page = names.slice(0, query.limit);
    const items = page.length === 0 ? [] : await this.#read(page);
    return names.length > page.length ? { items, continue: page.at(-1)! } : { items };
  }

  async heartbeat(presence: NodePresence): Promise<void> {
    await this.#redis.millraceHeartbeat(
      this.#prefix,
      presence.node,
      presence.connectedAt,
      this.#leaseMs,
      JSON.stringify(presence),
    );
  }

  async dropNode(node: string, connectedAt?: number): Promise<void> {
    await this.#redis.millraceDrop(this.#prefix, node, connectedAt ?? '');
  }

  async nodes(): Promise<NodePresence[]> {
    const found = (await this.#redis.millraceNodes(this.#prefix)) as string[];
    return found.map((presence) => JSON.parse(presence) as NodePresence);
  }

  watch(listener: (change: DirectoryChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#clock.clearTimeout(this.#sweep);
    this.#clock.clearTimeout(this.#resyncTimer);
    this.#listeners.clear();
    this.#redis.disconnect();
    this.#subscriber.disconnect();
    return Promise.resolve();
  }

  async #read(names: string[]): Promise<StreamEntry[]> {
    return entriesOf((await this.#redis.millraceRead(this.#prefix, ...names)) as string[]);
  }

  /** Members of equal score are in byte order; 0xff sorts after every character that a name can have. */
  #names(prefix: string, after: string | undefined, limit: number): Promise<string[]> {
    const from = after === undefined ? `[${prefix}` : `(${after}`;
    return this.#redis.zrangebylex(
      `${this.#prefix}streams`,
      prefix === '' && after === undefined ? '-' : from,
      `[${prefix}\xff`,
      'LIMIT',
      0,
      limit,
    );
  }

  async #namesOf(node: string, prefix: string, after: string | undefined): Promise<string[]> {
    const names = await this.#redis.smembers(`${this.#prefix}of:${node}`);
    return names.filter((name) => name.startsWith(prefix) && (after === undefined || name > after)).sort();
  }

  #scheduleSweep(): void {
    if (this.#closed) return;
    this.#sweep = this.#clock.setTimeout(() => {
      this.#redis
        .millraceSweep(this.#prefix)
        .catch((err: unknown) => this.#logger.warn({ err }, 'expired leases stay until Redis answers'))
        .finally(() => this.#scheduleSweep());
    }, this.#leaseMs / 5);
    this.#sweep.unref();
  }

  #heard(message: string): void {
    const change = readChange(message);
    if (change.ok) return this.#emit(change.value);
    this.#logger.warn(
      { change: message.slice(0, 200), problem: change.problem },
      'unreadable change in the directory, which is read again; is another version of control running?',
    );
    this.#resync();
  }

  /** Now, or once the last one is old enough: reading everything again is costly. */
  #resync(): void {
    if (this.#resyncTimer !== undefined || this.#closed) return;
    const dueMs = this.#lastResyncMs + MIN_RESYNC_INTERVAL_MS - this.#clock.now();
    this.#resyncTimer = this.#clock.setTimeout(
      () => {
        this.#resyncTimer = undefined;
        this.#lastResyncMs = this.#clock.now();
        this.#emit({ type: 'resync' });
      },
      Math.max(0, dueMs),
    );
  }

  /** A listener that throws must not keep the others from the change, nor end the process out of the connection's event. */
  #emit(change: DirectoryChange): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (err) {
        this.#logger.error({ err, change: change.type }, 'a change of the directory could not be applied');
        if (change.type !== 'resync') this.#resync();
      }
    }
  }
}

/** Entries as a flat list: node session user epoch since body, repeated. */
function entriesOf(fields: string[]): StreamEntry[] {
  const entries: StreamEntry[] = [];
  for (let i = 0; i + ENTRY_FIELDS <= fields.length; i += ENTRY_FIELDS) {
    const [, , user, epoch, since, body] = fields.slice(i, i + ENTRY_FIELDS);
    entries.push(readEntry({ user: user!, epoch: epoch!, since: since!, body: body! }));
  }
  return entries;
}
