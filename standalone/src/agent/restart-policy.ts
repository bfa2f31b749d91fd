/** How a container ended. */
export interface Ending {
  exitCode: number;
  signal?: number;
}

const firstDelayMs = 1000;
const maxDelayMs = 60_000;
/** A container that ran this long has recovered: its back-off starts anew. */
const recoveredMs = 60_000;

export function shouldRestart(policy: string | undefined, ending: Ending): boolean {
  if (policy === 'Never') return false;
  return policy !== 'OnFailure' || ending.exitCode !== 0;
}

/** Waits between restarts: none before the first, then 1 s doubled each time, at most a minute; anew after a minute of running. */
export class RestartBackoff {
  #crashes = 0;

  /** Delay in ms before the next start, after a run of `ranMs`. */
  next(ranMs: number): number {
    if (ranMs >= recoveredMs) this.#crashes = 0;
    const delay = this.#crashes === 0 ? 0 : Math.min(firstDelayMs * 2 ** (this.#crashes - 1), maxDelayMs);
    this.#crashes++;
    return delay;
  }
}
