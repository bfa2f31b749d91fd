import { EventEmitter } from 'node:events';
import { Problem } from '@millrace/service';
import type { Session } from './session.ts';

export interface SessionLimits {
  /** Sessions of this node, publishers and viewers together. */
  sessions: number;
  /** The same for one client address; absent: no further limit. */
  perAddress?: number;
  /** Sessions of one client address that have not connected yet. */
  pendingPerAddress: number;
  /** Plain RTP sessions of one client address; absent: no further limit. */
  plainPerAddress?: number;
}

/** Sessions that one media token may hold on a node at a time. A token is one user's permission for one stream or a few, and may be copied. */
export const MAX_SESSIONS_PER_TOKEN = 64;

/** Who opens a session. */
export interface Entrant {
  /** The client's address, or the group of addresses that counts as one client. */
  address: string;
  /** The `jti` of its media token; absent: it has none. */
  tokenId?: string | undefined;
  /** The session is plain RTP: a packet costs its sender nothing, and no handshake bounds the number of sessions. */
  isPlain?: boolean;
}

interface RegistryEvents {
  added: [Session];
  removed: [Session, reason: string];
  /** The network still has the session's media, but this node does not. */
  displaced: [Session, reason: string];
}

/** How many ended sessions are remembered, so that ending one twice is not an error. The oldest is forgotten first. */
const MAX_ENDED = 10_000;

/** What is remembered of an ended session. */
export type EndedSession = Pick<Session, 'kind' | 'protocol'> & { reason: string };

/** Every session of this node. A slot is reserved before anything is opened for a client, so that a burst cannot overrun the capacity. */
export class SessionRegistry extends EventEmitter<RegistryEvents> {
  readonly #limits: SessionLimits;
  readonly #sessions = new Map<string, Session>();
  readonly #ended = new Map<string, EndedSession>();
  /** Sessions that are open or being opened, by what bounds them (`boundsOf`). */
  readonly #counts = new Map<string, number>();
  #reservations = 0;
  /** Being opened, by client address. */
  readonly #opening = new Map<string, number>();

  constructor(limits: SessionLimits) {
    super();
    this.#limits = limits;
  }

  get size(): number {
    return this.#sessions.size + this.#reservations;
  }

  get full(): boolean {
    return this.size >= this.#limits.sessions;
  }

  get(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  /** A session that ended recently. */
  ended(id: string): EndedSession | undefined {
    return this.#ended.get(id);
  }

  all(): Session[] {
    return [...this.#sessions.values()];
  }

  /**
   * Opens a session inside a reserved slot.
   * @throws Problem 429 when the address or the token has too many; whatever `open` throws
   */
  async admit<T extends { session: Session }>(entrant: Entrant, open: () => Promise<T>): Promise<T> {
    const { address } = entrant;
    const bounds = this.#boundsOf(entrant);
    for (const { key, max, owner, remedy } of bounds) {
      const held = this.#counts.get(key) ?? 0;
      if (held < max) continue;
      throw new Problem(429, 'Too many sessions', {
        detail: `${owner} has ${held} sessions here, at most ${max} are allowed; end some, or ${remedy}`,
        headers: { 'retry-after': '30' },
      });
    }
    const { pendingPerAddress } = this.#limits;
    const own = this.all().filter((session) => session.address === address);
    const pending = own.filter((session) => session.state === 'pending').length + (this.#opening.get(address) ?? 0);
    if (pending >= pendingPerAddress) {
      throw new Problem(429, 'Too many pending sessions', {
        detail: `${pending} sessions from your address have not connected yet, at most ${pendingPerAddress} may wait; connect or end them first`,
        headers: { 'retry-after': '5' },
      });
    }
    this.#count(entrant, 1);
    this.#reservations += 1;
    add(this.#opening, address, 1);
    try {
      const opened = await open();
      this.#add(opened.session, entrant);
      return opened;
    } catch (error) {
      this.#count(entrant, -1);
      throw error;
    } finally {
      this.#reservations -= 1;
      add(this.#opening, address, -1);
    }
  }

  closeAll(reason: string): void {
    for (const session of this.all()) session.close(reason);
  }

  #add(session: Session, entrant: Entrant): void {
    if (session.state === 'closed' || session.state === 'displaced') {
      session.close('it ended while it was being set up');
      throw new Problem(503, 'Session ended', {
        detail: 'it ended while it was being set up; try again',
        headers: { 'retry-after': '1' },
      });
    }
    this.#sessions.set(session.id, session);
    session.once('displaced', (reason) => this.emit('displaced', session, reason));
    session.once('closed', (reason) => {
      this.#sessions.delete(session.id);
      this.#count(entrant, -1);
      this.#ended.set(session.id, { kind: session.kind, protocol: session.protocol, reason });
      if (this.#ended.size > MAX_ENDED) this.#ended.delete(this.#ended.keys().next().value!);
      this.emit('removed', session, reason);
    });
    this.emit('added', session);
  }

  #boundsOf({ address, tokenId, isPlain }: Entrant): { key: string; max: number; owner: string; remedy: string }[] {
    const { perAddress = Infinity, plainPerAddress = Infinity } = this.#limits;
    const elsewhere = 'use another node';
    return [
      { key: `address ${address}`, max: perAddress, owner: 'your address', remedy: elsewhere },
      ...(isPlain
        ? [{ key: `plain ${address}`, max: plainPerAddress, owner: 'plain RTP: your address', remedy: elsewhere }]
        : []),
      ...(tokenId === undefined
        ? []
        : [
            {
              key: `token ${tokenId}`,
              max: MAX_SESSIONS_PER_TOKEN,
              owner: 'your token',
              remedy: 'let your app ask control for a token for each client',
            },
          ]),
    ];
  }

  #count(entrant: Entrant, change: 1 | -1): void {
    for (const { key } of this.#boundsOf(entrant)) add(this.#counts, key, change);
  }
}

function add(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
