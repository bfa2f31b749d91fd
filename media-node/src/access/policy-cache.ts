import type { StreamPolicy } from '@millrace/api';
import { AddressRate, Problem, type Clock } from '@millrace/service';

/** How long an answer of control counts. Control checks again when it gives out the name. */
const KEPT_MS = 5000;
/** Questions a second: they share the node's one channel with its reports and publishers. */
const QUESTIONS_PER_SECOND = 50;
/** Streams whose policies are remembered. */
const MAX_POLICIES = 10_000;

/**
 * The policies of streams, as control says. Asked for clients without a token before any work is done for them, so that a flood of them costs one question
 * for each stream.
 */
export class PolicyCache {
  readonly #here: (stream: string) => StreamPolicy | undefined;
  readonly #ask: (stream: string) => Promise<StreamPolicy>;
  readonly #clock: Clock;
  readonly #questions: AddressRate;
  readonly #known = new Map<string, { policy: Promise<StreamPolicy>; askedMs: number }>();

  /**
   * @param parts.here the policy where this node knows it already
   * @param parts.ask asks control
   */
  constructor(parts: {
    here: (stream: string) => StreamPolicy | undefined;
    ask: (stream: string) => Promise<StreamPolicy>;
    clock: Clock;
  }) {
    const { here, ask, clock } = parts;
    this.#here = here;
    this.#ask = ask;
    this.#clock = clock;
    this.#questions = new AddressRate({ perSecond: QUESTIONS_PER_SECOND, burst: QUESTIONS_PER_SECOND, clock });
  }

  /** @throws Problem 503 without control, or when clients ask for too many streams */
  of(stream: string): Promise<StreamPolicy> {
    const here = this.#here(stream);
    if (here) return Promise.resolve(here);
    const nowMs = this.#clock.now();
    const known = this.#known.get(stream);
    if (known && nowMs - known.askedMs < KEPT_MS) return known.policy;
    if (!this.#questions.take('anonymous')) return Promise.reject(tooManyQuestions());
    const policy = this.#ask(stream);
    this.#known.delete(stream);
    this.#known.set(stream, { policy, askedMs: nowMs });
    if (this.#known.size > MAX_POLICIES) this.#known.delete(this.#known.keys().next().value!);
    policy.catch(() => {
      if (this.#known.get(stream)?.policy === policy) this.#known.delete(stream);
    });
    return policy;
  }
}

function tooManyQuestions(): Problem {
  return new Problem(503, 'Busy', {
    detail: 'too many clients without a token ask for streams that this node does not know; try again, or send a token',
    headers: { 'retry-after': '1' },
  });
}
