import type { Clock, Timer } from '@millrace/service';

interface Waiter {
  grant(): void;
}

/** A token bucket: `burst` requests at once, `qps` per second sustained. Waiters are served in order. */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #qps: number;
  readonly #burst: number;
  #tokens: number;
  #refilledAt: number;
  readonly #waiters = new Set<Waiter>();
  #timer: Timer | undefined;

  constructor(options: { clock: Clock; qps: number; burst: number }) {
    if (!(options.qps > 0) || !(options.burst >= 1)) throw new RangeError('qps must be above 0 and burst at least 1');
    this.#clock = options.clock;
    this.#qps = options.qps;
    this.#burst = options.burst;
    this.#tokens = options.burst;
    this.#refilledAt = options.clock.now();
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** Takes a token if one is available, and returns whether it did. */
  tryTake(): boolean {
    this.#refill();
    if (this.#waiters.size > 0 || this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Resolves when it has taken a token. Rejects with the signal's reason, without taking one, if the signal aborts first. */
  take(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.tryTake()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiters.delete(waiter);
        reject(signal?.reason as Error);
      };
      const waiter: Waiter = {
        grant: () => {
          signal?.removeEventListener('abort', leave);
          resolve();
        },
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiters.add(waiter);
      this.#schedule();
    });
  }

  #refill(): void {
    const now = this.#clock.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#refilledAt) / 1000) * this.#qps);
    this.#refilledAt = now;
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#waiters.size === 0) return;
    const delayMs = Math.max(1, Math.ceil(((1 - this.#tokens) / this.#qps) * 1000));
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      this.#serve();
    }, delayMs);
  }

  #serve(): void {
    this.#refill();
    for (const waiter of this.#waiters) {
      if (this.#tokens < 1) break;
      this.#tokens -= 1;
      this.#waiters.delete(waiter);
      waiter.grant();
    }
    this.#schedule();
  }
}
