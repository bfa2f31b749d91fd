import type { StreamReport } from '@millrace/api';
import type { Logger } from '@millrace/service';
import type { SessionRegistry } from './registry.ts';
import type { Session } from './session.ts';

/** What was heard of a publisher: how much so far, and for how long nothing since. */
export interface Heard {
  bytes: number;
  silentMs: number;
}

/**
 * How long a publisher may be silent before its name is free again. Not even a muted one is: media, RTCP (RFC 3550 section 6.2: every 5 s) or a consent check
 * (RFC 7675 section 5.1: every 6 s at most) comes. Without this a publisher that vanished would hold its name for the 30 s of RFC 7675, and plain RTP for ever.
 */
export const SILENT_MS = 10_000;
/** Shorter pauses are usual, and are told nobody. */
const NOTICED_MS = 3000;
/** One look counts for no more, however late it comes: a node that stood still has not listened. */
const LONGEST_LOOK_MS = 2000;

export function listen(before: Heard | undefined, bytes: number, sinceLastLookMs: number): Heard {
  if (!before || bytes !== before.bytes) return { bytes, silentMs: 0 };
  return { bytes, silentMs: before.silentMs + Math.min(sinceLastLookMs, LONGEST_LOOK_MS) };
}

/** Ends publishers that fell silent, whatever carries them. Viewers are left to ICE: they hold no name, and plain RTP ones may send nothing. */
export class SilenceWatch {
  readonly #sessions: Pick<SessionRegistry, 'all'>;
  readonly #logger: Logger;
  readonly #heard = new WeakMap<Session, Heard>();
  #lookedAtMs: number | undefined;

  constructor(parts: { sessions: Pick<SessionRegistry, 'all'>; logger: Logger }) {
    this.#sessions = parts.sessions;
    this.#logger = parts.logger;
  }

  /** Of a stream whose publisher has sent nothing for a while: for how long, and in how long its name is free. */
  of(stream: string): StreamReport['silence'] {
    const publisher = this.#sessions.all().find((session) => session.kind === 'push' && session.stream === stream);
    const forMs = (publisher && this.#heard.get(publisher)?.silentMs) ?? 0;
    return forMs < NOTICED_MS ? undefined : { forMs, freeInMs: Math.max(0, SILENT_MS - forMs) };
  }

  /** Looks once; call about each second. @param nowMs of a steady clock */
  async look(nowMs: number): Promise<void> {
    const sinceLastLookMs = nowMs - (this.#lookedAtMs ?? nowMs);
    this.#lookedAtMs = nowMs;
    const publishers = this.#sessions.all().filter(({ kind, state }) => kind === 'push' && state !== 'closed');
    await Promise.all(publishers.map((session) => this.#lookAt(session, sinceLastLookMs)));
  }

  async #lookAt(session: Session, sinceLastLookMs: number): Promise<void> {
    const bytes = await receivedBytes(session);
    // Before the first packet the session's own timeout counts.
    if (bytes === undefined || bytes === 0) return;
    const heard = listen(this.#heard.get(session), bytes, sinceLastLookMs);
    this.#heard.set(session, heard);
    if (heard.silentMs < SILENT_MS) return;
    this.#logger.info({ session: session.id, stream: session.stream, silentMs: heard.silentMs }, 'publisher fell silent');
    session.close('the publisher fell silent');
  }
}

/** All that came, STUN counted in. */
async function receivedBytes({ transport }: Session): Promise<number | undefined> {
  if (!transport || transport.closed) return undefined;
  const stats = await transport.getStats().catch(() => []);
  return stats[0]?.bytesReceived;
}
