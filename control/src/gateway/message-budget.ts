import type { Clock } from '@millrace/service';

/** A node needs about ten messages per second in the long run; the burst allows for streams that start together, and for a hello of many. */
const MESSAGES_PER_SECOND = 200;
const BURST = 1000;
/** A message counts once more for each of these, since parsing takes time by the byte: 6 MiB per second. */
const BYTES_PER_MESSAGE = 32 * 1024;

/** How many messages, and how large ones, control reads: a token bucket. */
export class MessageBudget {
  readonly #clock: Clock;
  #allowance = BURST;
  #allowedAtMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#allowedAtMs = clock.now();
  }

  /** Takes a message that has come. @returns ms until the next one may be read; 0: now */
  spend(bytes: number): number {
    this.#refill();
    this.#allowance -= 1 + bytes / BYTES_PER_MESSAGE;
    return this.#allowance > 0 ? 0 : 100 + (-this.#allowance / MESSAGES_PER_SECOND) * 1000;
  }

  get isFull(): boolean {
    this.#refill();
    return this.#allowance === BURST;
  }

  #refill(): void {
    const now = this.#clock.now();
    this.#allowance = Math.min(BURST, this.#allowance + ((now - this.#allowedAtMs) / 1000) * MESSAGES_PER_SECOND);
    this.#allowedAtMs = now;
  }
}

/**
 * One budget for all connections of a pod, by the uid that the API server has vouched for. It outlives them until it is full again, so that neither a second
 * connection nor a new one brings another.
 */
export class PodBudgets {
  readonly #clock: Clock;
  readonly #inUse = new Map<string, { budget: MessageBudget; connections: number }>();
  /** Those of pods without a connection, in the order in which the last one closed. */
  readonly #left = new Map<string, MessageBudget>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#inUse.size + this.#left.size;
  }

  /** The budget for one more connection of a pod. @returns what to call once when it has closed, too */
  enter(podUid: string): { budget: MessageBudget; leave: () => void } {
    this.#forgetFull();
    const used = this.#inUse.get(podUid) ?? { budget: this.#left.get(podUid) ?? new MessageBudget(this.#clock), connections: 0 };
    used.connections++;
    this.#inUse.set(podUid, used);
    this.#left.delete(podUid);
    const leave = (): void => {
      if (--used.connections > 0) return;
      this.#inUse.delete(podUid);
      this.#left.set(podUid, used.budget);
    };
    return { budget: used.budget, leave };
  }

  #forgetFull(): void {
    for (const [podUid, budget] of this.#left) {
      if (!budget.isFull) break;
      this.#left.delete(podUid);
    }
  }
}
