import type { Logger } from '@millrace/service';
import { StatusError } from '../status.ts';

/** Runs work in the background and retries it while it cannot be stored, as on a full disk. */
export class Retries {
  readonly #logger: Logger;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #retryMs: number;
  #stopped = false;

  constructor(logger: Logger, retryMs = 2_000) {
    this.#logger = logger;
    this.#retryMs = retryMs;
  }

  run(what: string, work: () => Promise<unknown>): void {
    if (this.#stopped) return;
    work().catch((error: unknown) => {
      // The object is gone or has changed, and that change has queued its own work.
      if (this.#stopped || (error instanceof StatusError && (error.code === 404 || error.code === 409))) return;
      this.#logger.warn({ err: error, work: what }, 'not done yet, trying again');
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        this.run(what, work);
      }, this.#retryMs);
      this.#timers.add(timer);
    });
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
