import type { Clock, Timer } from '@millrace/service';
import { KubeError } from './errors.ts';

/**
 * The lifetime of one request. Its signal aborts at the deadline or when one of the given signals does. AbortSignal.any is not used
 * because the given signals live as long as the process and would accumulate dependents; `end` removes the listeners.
 */
export class RequestScope {
  readonly #controller = new AbortController();
  readonly #clock: Clock;
  readonly #given: AbortSignal[];
  #timer: Timer | undefined;

  constructor(clock: Clock, given: (AbortSignal | undefined)[], deadline?: { ms: number; what: string }) {
    this.#clock = clock;
    this.#given = given.filter((signal) => signal !== undefined);
    for (const signal of this.#given) {
      if (signal.aborted) this.#controller.abort(signal.reason);
      else signal.addEventListener('abort', this.#follow, { once: true });
    }
    if (deadline) {
      this.#timer = clock.setTimeout(() => {
        this.abort(KubeError.local('Timeout', `${deadline.what}: no answer within ${Math.round(deadline.ms)} ms`));
      }, deadline.ms);
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: Error): void {
    this.#controller.abort(reason);
  }

  /** Removes the deadline once a watch has started to answer. The given signals still abort the request. */
  clearDeadline(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  end(): void {
    this.clearDeadline();
    for (const signal of this.#given) signal.removeEventListener('abort', this.#follow);
  }

  readonly #follow = (event: Event): void => {
    this.#controller.abort((event.target as AbortSignal).reason);
  };
}
