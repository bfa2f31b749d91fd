import { Problem } from '@millrace/service';
import type { types } from 'mediasoup';

/**
 * How media ends that a session carries. over: there is nothing more to have. displaced: what the client wants is still there, but no longer in this
 * session; it should open another. superseded: another publisher has the name.
 */
export type Ending = 'over' | 'displaced' | 'superseded';

export const WORKER_DIED = 'the media worker died';

/** What went wrong, where it was the worker's death: then another try helps. */
export function orWorkerLost(worker: types.Worker, error: unknown): unknown {
  if (!worker.closed || error instanceof Problem) return error;
  return new Problem(503, 'Media worker lost', { detail: `${WORKER_DIED}; try again`, headers: { 'retry-after': '1' } });
}
