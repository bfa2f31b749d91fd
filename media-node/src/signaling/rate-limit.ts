import { Problem, type Clock } from '@millrace/service';

export interface RateLimitOptions {
  perSecond: number;
  burst: number;
  clock: Clock;
}

/** Addresses that are remembered at once; the longest unseen is forgotten first. */
const MAX_ADDRESSES = 10_000;

/** A token bucket for each client address. */
export class RateLimit {
  readonly #options: RateLimitOptions;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(options: RateLimitOptions) {
    this.#options = options;
  }

  /** @throws Problem 429 */
  take(address: string): void {
    const { perSecond, burst, clock } = this.#options;
    const now = clock.now();
    const before = this.#buckets.get(address) ?? { tokens: burst, atMs: now };
    const tokens = Math.min(burst, before.tokens + ((now - before.atMs) * perSecond) / 1000);
    this.#buckets.delete(address);
    this.#buckets.set(address, { tokens: Math.max(0, tokens - 1), atMs: now });
    if (this.#buckets.size > MAX_ADDRESSES) this.#buckets.delete(this.#buckets.keys().next().value!);
    if (tokens >= 1) return;
    throw new Problem(429, 'Too many requests', {
      detail: `at most ${perSecond} new sessions a second from one address`,
      headers: { 'retry-after': String(Math.max(1, Math.ceil(1 / perSecond))) },
    });
  }
}
