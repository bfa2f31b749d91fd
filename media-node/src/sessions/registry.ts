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
  readonly #reserved = new Map<string, number>();
  #reservations = 0;

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
   * @throws Problem 429 when the address has too many pending ones; whatever `open` throws
   */
  async admit<T extends { session: Session }>(address: string, open: () => Promise<T>): Promise<T> {
    const { pendingPerAddress, perAddress = Infinity } = this.#limits;
    const reserved = this.#reserved.get(address) ?? 0;
    const own = this.all().filter((session) => session.address === address);
    const pending = own.filter((session) => session.state === 'pending').length + reserved;
    if (own.length + reserved >= perAddress) {
      throw new Problem(429, 'Too many sessions', {
        detail: `your address has ${own.length + reserved} sessions here, at most ${perAddress} are allowed; end some, or use another node`,
        headers: { 'retry-after': '30' },
      });
    }
    if (pending >= pendingPerAddress) {
      throw new Problem(429, 'Too many pending sessions', {
        detail: `${pending} sessions from your address have not connected yet, at most ${pendingPerAddress} may wait; connect or end them first`,
        headers: { 'retry-after': '5' },
      });
    }
    this.#reserve(address, 1);
    try {
      const opened = await open();
      this.#add(opened.session);
      return opened;
    } finally {
      this.#reserve(address, -1);
    }
  }

  closeAll(reason: string): void {
    for (const session of this.all()) session.close(reason);
  }

  #add(session: Session): void {
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
      this.#ended.set(session.id, { kind: session.kind, protocol: session.protocol, reason });
      if (this.#ended.size > MAX_ENDED) this.#ended.delete(this.#ended.keys().next().value!);
      this.emit('removed', session, reason);
    });
    this.emit('added', session);
  }

  #reserve(address: string, change: 1 | -1): void {
    this.#reservations += change;
    const count = (this.#reserved.get(address) ?? 0) + change;
    if (count > 0) this.#reserved.set(address, count);
    else this.#reserved.delete(address);
  }
}
