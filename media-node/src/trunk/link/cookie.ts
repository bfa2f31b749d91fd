import { createHmac, timingSafeEqual } from 'node:crypto';
import { COOKIE_BYTES } from './wire.ts';

/** A secret lives this long and its cookies twice as long: WireGuard's two minutes. */
const SECRET_LIFE_MS = 120_000;

/** Proofs of owning a source address, asked for only when handshakes come faster than is normal (WireGuard section 5.4.7; RFC 9147 section 5.1). */
export class CookieJar {
  private current: Buffer;
  private previous: Buffer;
  private createdMs: number;
  private readonly random: (bytes: number) => Buffer;

  constructor(random: (bytes: number) => Buffer, nowMs: number) {
    this.random = random;
    this.current = random(32);
    this.previous = random(32);
    this.createdMs = nowMs;
  }

  bake(address: string, nowMs: number): Buffer {
    this.turn(nowMs);
    return mac(this.current, address);
  }

  verify(cookie: Buffer, address: string, nowMs: number): boolean {
    this.turn(nowMs);
    return timingSafeEqual(cookie, mac(this.current, address)) || timingSafeEqual(cookie, mac(this.previous, address));
  }

  private turn(nowMs: number): void {
    if (nowMs - this.createdMs < SECRET_LIFE_MS) return;
    this.previous = this.current;
    this.current = this.random(32);
    this.createdMs = nowMs;
  }
}

function mac(secret: Buffer, address: string): Buffer {
  return createHmac('sha256', secret).update(address).digest().subarray(0, COOKIE_BYTES);
}

/** Token bucket for work that unauthenticated senders cause: `burst` at once, then `perSecond`. */
export class RateLimit {
  private readonly perSecond: number;
  private readonly burst: number;
  private tokens: number;
  private filledMs: number;

  constructor(perSecond: number, burst: number, nowMs: number) {
    this.perSecond = perSecond;
    this.burst = burst;
    this.tokens = burst;
    this.filledMs = nowMs;
  }

  take(nowMs: number): boolean {
    this.tokens = Math.min(this.burst, this.tokens + ((nowMs - this.filledMs) / 1000) * this.perSecond);
    this.filledMs = nowMs;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }
}
