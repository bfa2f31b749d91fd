import type { Clock, Logger } from '@millrace/service';
import { HeardTime } from './heard-time.ts';
import { LIFE_LIMITS, nextLookOf, observeLife, quietEndOf, type LifeLimits, type LifeSigns } from './life-signs.ts';
import type { SessionRegistry } from './registry.ts';
import type { Session } from './session.ts';

interface Watched {
  signs: LifeSigns;
  nextLookMs: number;
}

/**
 * Ends the sessions of plain RTP viewers that send nothing: no handshake proves that somebody at their address still wants the stream, and the next holder
 * of that address would get it (docs/security.md, Media).
 */
export class PlainViewerWatch {
  readonly #sessions: Pick<SessionRegistry, 'all'>;
  readonly #limits: LifeLimits;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #heard = new HeardTime();
  readonly #watched = new WeakMap<Session, Watched>();

  constructor(parts: { sessions: Pick<SessionRegistry, 'all'>; limits?: LifeLimits; logger: Logger; clock: Clock }) {
    this.#sessions = parts.sessions;
    this.#limits = parts.limits ?? LIFE_LIMITS;
    this.#logger = parts.logger;
    this.#clock = parts.clock;
  }

  /** Looks at the viewers whose turn it is; call about each second. */
  async look(): Promise<void> {
    const nowMs = this.#heard.look(this.#clock.now());
    const due = this.#sessions
      .all()
      .filter(({ protocol, kind, state }) => protocol === 'rtp' && kind === 'pull' && state !== 'closed' && state !== 'displaced')
      .filter((session) => nowMs >= (this.#watched.get(session)?.nextLookMs ?? -Infinity));
    await Promise.all(due.map((session) => this.#lookAt(session, nowMs)));
  }

  async #lookAt(session: Session, nowMs: number): Promise<void> {
    const { transport } = session;
    if (!transport || transport.closed) return;
    const [stats] = await transport.getStats().catch(() => []);
    if (!stats) return;
    const signs = observeLife(this.#watched.get(session)?.signs, stats.bytesReceived, nowMs);
    this.#watched.set(session, { signs, nextLookMs: nextLookOf(signs, nowMs, this.#limits) });
    if (signs.heardAtMs !== undefined) session.markConnected();
    const { dueMs, reason } = quietEndOf(signs, this.#limits);
    if (nowMs < dueMs) return;
    this.#logger.info({ session: session.id, stream: session.stream, reason }, 'viewer of plain RTP ended');
    session.close(reason);
  }
}
