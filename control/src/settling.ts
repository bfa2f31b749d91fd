import type { Clock, Timer } from '@millrace/service';

/**
 * After a start with an empty directory, an unknown stream may be live and just not announced yet. Control has settled once every node that
 * was connected before is connected again, or `withinMs` after the start.
 */
export class Settling {
  readonly #clock: Clock;
  readonly #settled = Promise.withResolvers<void>();
  readonly #missing: () => boolean;
  #timer: Timer | undefined;
  #done = false;

  constructor(options: { clock: Clock; withinMs: number; missing: () => boolean }) {
    this.#clock = options.clock;
    this.#missing = options.missing;
    if (options.withinMs <= 0) this.#finish();
    else {
      this.#timer = options.clock.setTimeout(() => this.#finish(), options.withinMs);
      this.#timer.unref();
    }
  }

  /** Call it when a node has connected or the cluster has been read. */
  check(): void {
    if (!this.#done && !this.#missing()) this.#finish();
  }

  whenSettled(): Promise<void> {
    return this.#settled.promise;
  }

  #finish(): void {
    this.#done = true;
    this.#clock.clearTimeout(this.#timer);
    this.#settled.resolve();
  }
}
