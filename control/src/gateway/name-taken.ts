import type { StreamReport } from '@millrace/api';
import { Problem } from '@millrace/service';

/** How long a publisher of a taken name waits before it retries, s: the time after which a node releases the name of a silent publisher. */
const RETRY_AFTER_SECONDS = 10;

/**
 * A 409 that says who holds the name, since when, and until when at most.
 * @param holder since: ms since the Unix epoch
 * @param silence as the holder's node reports it; absent: the holder is not known to be silent
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
