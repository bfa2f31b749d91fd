import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { RequestHandler } from 'express';
import { clientGroup } from './client-address.ts';
import type { Clock } from './clock.ts';
import { Problem } from './problem.ts';

/** Maximum number of addresses kept, which bounds memory; the least recently seen are evicted first. */
const MAX_ADDRESSES = 10_000;
/** Evicted at once: the walk to the first key of a Map passes all that were deleted before it, so that evicting one by one takes 30 µs each. */
const EVICTED_AT_ONCE = 1_000;
/** A request counts once for each of these that it and its answer take: headers may be as large, and work grows with bytes. */
const BYTES_PER_REQUEST = 16 * 1024;

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

  /** Time of its clock, ms. */
  get nowMs(): number {
    return this.#clock.now();
  }

  get addresses(): number {
    return this.#buckets.size;
  }

  /** Takes one token of this address. @returns false when its bucket is empty */
  take(address: string | undefined): boolean {
    return this.#take(address, 1) === 0;
  }

  /** Takes what has been used already. The address owes at most what the bucket holds, so that it is soon answered again. */
  charge(address: string | undefined, count: number): void {
    const [key, tokens] = this.#refilled(address);
    this.#put(key, Math.max(-this.#burst, tokens - count));
  }

  /** @returns seconds until the bucket holds as many, 0 when they were taken. A full one is enough for any count */
  #take(address: string | undefined, count: number): number {
    const [key, tokens] = this.#refilled(address);
    const taken = Math.min(count, this.#burst);
    this.#put(key, tokens < taken ? tokens : tokens - taken);
    return tokens < taken ? (taken - tokens) / this.perSecond : 0;
  }

  #refilled(address: string | undefined): [key: string, tokens: number] {
    const key = clientGroup(address);
    const now = this.#clock.now();
    const { tokens, atMs } = this.#buckets.get(key) ?? { tokens: this.#burst, atMs: now };
    return [key, Math.min(this.#burst, tokens + ((now - atMs) * this.perSecond) / 1000)];
  }

  #put(key: string, tokens: number): void {
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens, atMs: this.#clock.now() });
    if (this.#buckets.size > MAX_ADDRESSES) this.#evict();
  }

  #evict(): void {
    let left = EVICTED_AT_ONCE;
    for (const key of this.#buckets.keys()) {
      this.#buckets.delete(key);
      if (--left === 0) break;
    }
  }

  /** @throws Problem 429 that says what is limited and when to retry */
  require(address: string | undefined, what: string, count = 1): void {
    const waitS = this.#take(address, count);
    if (waitS === 0) return;
    throw new Problem(429, 'Too many requests', {
      detail: `at most ${this.perSecond} ${what} a second from one address; slow down`,
      headers: { 'retry-after': String(Math.max(1, Math.ceil(waitS))) },
    });
  }
}

const WHAT = `requests (each ${BYTES_PER_REQUEST} bytes of one and its answer count as one)`;

/**
 * Bounds all requests of a client address, in number and bytes: first in the chain, before anything is read or verified. What a request announces counts before it
 * is read, so that a client cannot send many large ones at once. What crossed the connection beyond that, such as a large answer, counts when the answer ends.
 */
export function limitRequests(rate: AddressRate, onRefused: (reason: 'rate') => void = () => undefined): RequestHandler {
  const moved = new MovedBytes();
  return (req, res, next) => {
    const address = req.ip;
    const announced = costOf(Number(req.headers['content-length']));
    const startedMs = rate.nowMs;
    // Registered first: refusals have a body and an answer, too.
    res.once('close', () => {
      const cost = costOf(moved.since(req.socket));
      // An event stream lasts for hours, and has paid for itself meanwhile as an idle client's bucket fills.
      const paid = isEventStream(res) ? ((rate.nowMs - startedMs) * rate.perSecond) / 1000 : 0;
      if (cost > announced + paid) rate.charge(address, cost - announced - paid);
    });
    try {
      rate.require(address, WHAT, announced);
    } catch (error) {
      onRefused('rate');
      throw error;
    }
    next();
  };
}

/** How often a request of so many bytes counts. */
const costOf = (bytes: number): number => Math.max(1, (bytes || 0) / BYTES_PER_REQUEST);

const isEventStream = (res: ServerResponse): boolean => String(res.getHeader('content-type')).startsWith('text/event-stream');

/** Bytes in both directions on each connection, each counted once: a connection may carry several requests at a time. */
class MovedBytes {
  readonly #counted = new WeakMap<Socket, number>();

  since(socket: Socket): number {
    const total = socket.bytesRead + socket.bytesWritten;
    const before = this.#counted.get(socket) ?? 0;
    this.#counted.set(socket, total);
    return total - before;
  }
}
