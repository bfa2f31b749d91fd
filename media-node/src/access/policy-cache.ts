import type { StreamPolicy } from '@millrace/api';
import type { Clock } from '@millrace/service';

/** How long an answer of control counts. Control checks again when it gives out the name. */
const KEPT_MS = 5000;
/** Streams whose policies are remembered. */
const MAX_POLICIES = 10_000;

/**
 * The policies of streams, as control says. Asked for clients without a token before any work is done for them, so that a flood of them costs one question
 * for each stream.
 */
export class PolicyCache {
  readonly #ask: (stream: string) => Promise<StreamPolicy>;
  readonly #clock: Clock;
  readonly #known = new Map<string, { policy: Promise<StreamPolicy>; askedMs: number }>();

  constructor(ask: (stream: string) => Promise<StreamPolicy>, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
  }

  /** @throws Problem 503 without control */
  of(stream: string): Promise<StreamPolicy> {
    const nowMs = this.#clock.now();
    const known = this.#known.get(stream);
    if (known && nowMs - known.askedMs < KEPT_MS) return known.policy;
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
