import type { Clock, Logger, Timer } from '@millrace/service';
import { planMoves } from './drain.ts';
import type { SessionRegistry } from './registry.ts';
import type { Session } from './session.ts';

export interface MoverParts {
  sessions: SessionRegistry;
  alternatives: (kind: 'push' | 'pull', stream: string, user?: string) => Promise<string[]>;
  logger: Logger;
  clock: Clock;
}

/** Tells the sessions of a draining node to go elsewhere. Clients that do not listen stay until the node stops. */
export class SessionMover {
  readonly #parts: MoverParts;
  #timers: Timer[] = [];
  #deadlineAt: number | undefined;

  constructor(parts: MoverParts) {
    this.#parts = parts;
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
      clock.setTimeout(() => void this.#move(session, deadlineAt, reason), afterMs),
    );
  }

  /** Draining was called off. */
  stop(): void {
    for (const timer of this.#timers) this.#parts.clock.clearTimeout(timer);
    this.#timers = [];
    this.#deadlineAt = undefined;
  }

  async #move(session: Session, deadlineAt: number, reason: string): Promise<void> {
    if (session.state === 'closed') return;
    const urls = await this.#parts.alternatives(session.kind, session.stream, session.user).catch(() => [] as string[]);
    const [base] = urls;
    if (base === undefined) {
      this.#parts.logger.warn({ session: session.id, stream: session.stream }, 'no other node takes this session');
      return;
    }
    const url = `${base}/${session.kind === 'push' ? 'whip' : 'whep'}/${session.stream}`;
    session.notify({ event: 'move', data: { url, signaling: base, reason, deadlineAt: new Date(deadlineAt).toISOString() } });
  }
}
