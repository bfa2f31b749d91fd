import { isRefusal, NotLeaderError, type KubeError } from '@millrace/kube';

/** A write that the API rejected because of its content. A retry without a change cannot succeed. */
export interface Refusal {
  /** Human-readable name of the object that was to be written. */
  readonly what: string;
  /** The API server's error message. */
  readonly why: string;
}

/** Maximum number of characters of an API error in a condition's message. */
const MAX_REFUSAL_CHARACTERS = 500;

/** The API server's error message, cut to fit a condition. */
export function whyRefused(error: KubeError): string {
  return error.message.slice(0, MAX_REFUSAL_CHARACTERS);
}

/**
 * Runs independent writes: when one fails, the others and the status update still run. The end of a leadership term is not a failure of
 * one write; it stops all of them.
 */
export class Attempts {
  readonly refusals: Refusal[] = [];
  readonly #signal: AbortSignal;
  readonly #errors: unknown[] = [];

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Returns whether the write succeeded. Throws only at the end of a leadership term. */
  async try(what: string, write: () => Promise<unknown>): Promise<boolean> {
    try {
      await write();
      return true;
    } catch (error) {
      if (error instanceof NotLeaderError || this.#signal.aborted) throw error;
      this.#errors.push(error);
      if (isRefusal(error)) this.refusals.push({ what, why: whyRefused(error) });
      return false;
    }
  }

  /** Throws the failures so that the caller logs and retries them: the single error, or an AggregateError. */
  throwFailures(): void {
    if (this.#errors.length === 0) return;
    if (this.#errors.length === 1) throw this.#errors[0];
    const [first] = this.#errors;
    const why = first instanceof Error ? first.message : String(first);
    throw new AggregateError(this.#errors, `${this.#errors.length} writes failed, the first with: ${why}`);
  }
}
