import { exponentialMs } from '@millrace/service';

/** How a container ended. */
export interface Ending {
  exitCode: number;
  signal?: number;
}

const RESTART = { baseMs: 1000, maxMs: 60_000 };
/** A container that ran this long resets its back-off. */
const recoveredMs = 60_000;

export function shouldRestart(policy: string | undefined, ending: Ending): boolean {
  if (policy === 'Never') return false;
  return policy !== 'OnFailure' || ending.exitCode !== 0;
}

/** Delays between restarts: none before the first, then 1 s doubled each time, at most a minute; reset after a minute of running. */
export class RestartBackoff {
  #crashes = 0;

  /** Delay in ms before the next start, after a run of `ranMs`. */
  next(ranMs: number): number {
    if (ranMs >= recoveredMs) this.#crashes = 0;
    const delay = this.#crashes === 0 ? 0 : exponentialMs(RESTART, this.#crashes);
    this.#crashes++;
    return delay;
  }
}
