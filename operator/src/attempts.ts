import { isRefusal, NotLeaderError, type KubeError } from '@millrace/kube';

/** A write that the API refused for what it says, so that trying again without a change is of no use. */
export interface Refusal {
  /** What was to be written, as people name it. */
  readonly what: string;
  /** In the words of the API. */
  readonly why: string;
}

/** Of what the API answered, in a condition's message. */
const MAX_REFUSAL_CHARACTERS = 500;

/** The API's words, short enough for a condition. */
export function whyRefused(error: KubeError): string {
  return error.message.slice(0, MAX_REFUSAL_CHARACTERS);
}

/**
 * Writes that do not depend on each other: one that fails keeps neither the others from being tried nor status from being told. The end
 * of a term is no failure of one write and ends them all.
 */
export class Attempts {
  readonly refusals: Refusal[] = [];
  readonly #signal: AbortSignal;
  readonly #errors: unknown[] = [];

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** True when it succeeded. Throws only at the end of a term. */
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

  /** Throws what failed, so that it is logged and tried again: the error itself, or all of them as one. */
  throwFailures(): void {
    if (this.#errors.length === 0) return;
    if (this.#errors.length === 1) throw this.#errors[0];
    const [first] = this.#errors;
    const why = first instanceof Error ? first.message : String(first);
    throw new AggregateError(this.#errors, `${this.#errors.length} writes failed, the first with: ${why}`);
  }
}
