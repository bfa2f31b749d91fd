import type { StreamReport } from '@millrace/api';
import { Problem } from '@millrace/service';

/** What a publisher of a name that is taken waits before it asks again: nodes free the name of one that is silent for as long. */
const RETRY_AFTER_SECONDS = 10;

/**
 * 409 that says who holds the name, since when, and until when at most.
 * @param holder since: ms since the Unix epoch
 * @param silence as the holder's node reports it; absent: it is not silent, as far as is known
 */
export function nameTaken(stream: string, holder: { region: string; since: number }, silence: StreamReport['silence']): Problem {
  const held = `${stream} has had a publisher in ${holder.region} since ${new Date(holder.since).toISOString()}`;
  const seconds = silence ? Math.max(1, Math.ceil(silence.freeInMs / 1000)) : RETRY_AFTER_SECONDS;
  const until = silence
    ? `it has been silent for ${Math.round(silence.forMs / 1000)} s, and the name is free in ${seconds} s unless it sends again`
    : `end it, publish under another name, or let its StreamRoute say onDuplicate: Takeover; a publisher that falls silent loses its name after ${RETRY_AFTER_SECONDS} s`;
  return new Problem(409, 'Stream is published already', {
    detail: `${held}; ${until}`,
    headers: { 'retry-after': String(seconds) },
  });
}
