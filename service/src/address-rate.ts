import type { RequestHandler } from 'express';
import { clientGroup } from './client-address.ts';
import type { Clock } from './clock.ts';
import { Problem } from './problem.ts';

/** Maximum number of addresses kept, which bounds memory; the least recently seen are evicted first. */
const MAX_ADDRESSES = 10_000;
/** Evicted at once: the walk to the first key of a Map passes all that were deleted before it, so that evicting one by one takes 30 µs each. */
const EVICTED_AT_ONCE = 1_000;

/** A token bucket for each client address. */
export class AddressRate {
  readonly perSecond: number;
  readonly #burst: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(options: { perSecond: number; burst: number; clock: Clock }) {
    this.perSecond = options.perSecond;
    this.#burst = Math.max(1, options.burst);
    this.#clock = options.clock;
  }

  get addresses(): number {
    return this.#buckets.size;
  }

  /** Takes one token of this address. @returns false when its bucket is empty */
  take(address: string | undefined): boolean {
    const key = clientGroup(address);
    const now = this.#clock.now();
    const before = this.#buckets.get(key) ?? { tokens: this.#burst, atMs: now };
    const tokens = Math.min(this.#burst, before.tokens + ((now - before.atMs) * this.perSecond) / 1000);
    const taken = tokens >= 1;
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: taken ? tokens - 1 : tokens, atMs: now });
    if (this.#buckets.size > MAX_ADDRESSES) this.#evict();
    return taken;
  }

  #evict(): void {
    let left = EVICTED_AT_ONCE;
    for (const key of this.#buckets.keys()) {
      this.#buckets.delete(key);
      if (--left === 0) break;
    }
  }

  /** @throws Problem 429 that says what is limited and when to retry */
  require(address: string | undefined, what: string): void {
    if (this.take(address)) return;
    throw new Problem(429, 'Too many requests', {
      detail: `at most ${this.perSecond} ${what} a second from one address; slow down`,
      headers: { 'retry-after': String(Math.max(1, Math.ceil(1 / this.perSecond))) },
    });
  }
}

/** Bounds all requests of a client address: first in the chain, before anything is read or verified. */
export function limitRequests(rate: AddressRate, onRefused: (reason: 'rate') => void = () => undefined): RequestHandler {
  return (req, _res, next) => {
    try {
      rate.require(req.ip, 'requests');
    } catch (error) {
      onRefused('rate');
      throw error;
    }
    next();
  };
}
