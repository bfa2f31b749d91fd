import { Problem } from '@millrace/service';
import type { types } from 'mediasoup';

/**
 * How a session's media ends. `over`: the stream or the session ended. `displaced`: the stream still exists, but this session cannot carry it any more; the
 * client should open another session. `superseded`: another publisher took the name.
 */
export type Ending = 'over' | 'displaced' | 'superseded';

export const WORKER_DIED = 'the media worker died';

/** A retryable 503 Problem when the worker died; otherwise the error itself. */
export function orWorkerLost(worker: types.Worker, error: unknown): unknown {
  if (!worker.closed || error instanceof Problem) return error;
  return new Problem(503, 'Media worker lost', { detail: `${WORKER_DIED}; try again`, headers: { 'retry-after': '1' } });
}
