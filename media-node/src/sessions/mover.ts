import { isHttps, type Clock, type Logger, type Timer } from '@millrace/service';
import { planMoves } from './drain.ts';
import type { SessionRegistry } from './registry.ts';
import type { Session } from './session.ts';

export interface MoverParts {
  sessions: SessionRegistry;
  /** Base signalling URLs of other nodes, best first. */
  alternatives: (kind: 'push' | 'pull', stream: string, user?: string) => Promise<string[]>;
  /** This node's own. */
  here: string;
  /** Whether this node accepts sessions now or will within `withinMs`. */
  takesSessions: (withinMs: number) => Promise<boolean>;
  logger: Logger;
  clock: Clock;
}

/** How long to wait for a replaced worker, which is usually faster than a connection to another node. */
const REPLACED_WITHIN_MS = 1000;
/** How long a displaced session is kept so that its client can receive the `move` notice. */
const DISPLACED_MS = 10_000;
/** The minimum interval between moves of displaced sessions, so that a full core's viewers do not all reconnect at once. */
const DISPLACED_EVERY_MS = 5;

/** Tells clients where to reconnect: all of a draining node, and those whose media was displaced. Sessions of clients that ignore it stay until they end. */
export class SessionMover {
  readonly #parts: MoverParts;
  #timers: Timer[] = [];
  #deadlineAt: number | undefined;
  #nextDisplacedMs = -Infinity;

  constructor(parts: MoverParts) {
    this.#parts = parts;
    parts.sessions.on('displaced', (session, reason) => this.#displaced(session, reason));
  }

  /** @param deadlineAt ms since the epoch, by which the node stops */
  drain(deadlineAt: number, reason: string): void {
    if (this.#deadlineAt === deadlineAt) return;
    this.stop();
    this.#deadlineAt = deadlineAt;
    const { sessions, clock, logger } = this.#parts;
    const moves = planMoves(sessions.all(), deadlineAt - clock.wall());
    if (moves.length > 0) logger.info({ sessions: moves.length, deadlineAt }, 'moving sessions away');
    this.#timers = moves.map(({ session, afterMs }) =>
      clock.setTimeout(() => void this.#moveAway(session, deadlineAt, reason), afterMs),
    );
  }

  /** The drain was cancelled. */
  stop(): void {
    for (const timer of this.#timers) this.#parts.clock.clearTimeout(timer);
    this.#timers = [];
    this.#deadlineAt = undefined;
  }

  async #moveAway(session: Session, deadlineAt: number, reason: string): Promise<void> {
    if (session.state === 'closed' || session.state === 'displaced') return;
    const base = await this.#elsewhere(session);
    if (base === undefined) {
      this.#parts.logger.warn({ session: session.id, stream: session.stream }, 'no other node takes this session');
      return;
    }
    tell(session, base, reason, deadlineAt);
  }

  #displaced(session: Session, reason: string): void {
    const { clock } = this.#parts;
    const nowMs = clock.now();
    const atMs = Math.max(nowMs, this.#nextDisplacedMs);
    this.#nextDisplacedMs = atMs + DISPLACED_EVERY_MS;
    clock.setTimeout(() => void this.#findPlace(session, reason), atMs - nowMs);
  }

  /** Prefers this node, unless it is draining; then another node; then this node once a worker has been replaced. */
  async #findPlace(session: Session, reason: string): Promise<void> {
    const { here, takesSessions, clock } = this.#parts;
    const isLeaving = this.#deadlineAt !== undefined;
    const stays = !isLeaving && (await takesSessions(REPLACED_WITHIN_MS));
    const base = stays ? here : await this.#elsewhere(session);
    if (session.state === 'closed') return;
    if (base !== undefined) tell(session, base, reason, clock.wall());
    else if (!isLeaving && (await takesSessions(DISPLACED_MS))) tell(session, here, reason, clock.wall());
    session.close(reason);
  }

  async #elsewhere({ kind, stream, user }: Session): Promise<string | undefined> {
    const { alternatives, here } = this.#parts;
    const urls = await alternatives(kind, stream, user).catch(() => [] as string[]);
    // The client takes its token along: never from HTTPS to plain HTTP.
    return isHttps(here) ? urls.find(isHttps) : urls[0];
  }
}

/** Sends a `move` notice. A publisher's URL names the session that it replaces; otherwise its own old session would block the name. */
function tell(session: Session, base: string, reason: string, deadlineAt: number): void {
  const url = new URL(`${base}/${session.kind === 'push' ? 'whip' : 'whep'}/${session.stream}`);
  if (session.kind === 'push') url.searchParams.set('replaces', session.id);
  const data = { url: url.href, signaling: base, reason, deadlineAt: new Date(deadlineAt).toISOString() };
  session.notify({ event: 'move', data });
}
