import { openEventStream, Problem } from '@millrace/service';
import type { Request, Response } from 'express';
import type { Session, SessionNotice } from '../sessions/index.ts';

/** The link relation from a session to its event stream. */
export const EVENTS_RELATION = 'urn:millrace:events';
/** The SDK considers a node hung after 12 s without a byte. */
const KEEPALIVE_MS = 5_000;
const MAX_LISTENERS = 4;
const MAX_UNSENT_BYTES = 64 * 1024;

/** Server-sent events of a session: `move`, `paused`, `resumed`, `ended`, `layers`, `publisher`. Ends with the session. */
export function streamEvents(session: Session, req: Request, res: Response): void {
  if (session.listenerCount('notice') >= MAX_LISTENERS)
    throw new Problem(429, 'Too many listeners', {
      detail: `at most ${MAX_LISTENERS} event streams for a session; end one of them`,
      headers: { 'retry-after': '5' },
    });
  if (!openEventStream(req, res)) return;
  const write = ({ event, data }: SessionNotice): void => {
    // The stream of a client that does not read is ended. When it reconnects, it gets the standing notice.
    if (res.writableLength > MAX_UNSENT_BYTES) return void res.destroy();
    res.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  const end = (): void => {
    res.end();
  };
  // Proxies and clients close silent connections.
  const keepalive = setInterval(() => res.write(': \n\n'), KEEPALIVE_MS);
  keepalive.unref();
  session.on('notice', write);
  session.once('closed', end);
  const standing = session.standingNotice;
  if (standing) write(standing);
  if (session.publisher) write({ event: 'publisher', data: session.publisher });
  if (session.media?.kind === 'pull') write({ event: 'layers', data: session.media.viewer.layers() });
  req.once('close', () => {
    clearInterval(keepalive);
    session.off('notice', write);
    session.off('closed', end);
  });
}
