/** Burst allowed after a pause, as time at the rate: short enough for the buffer of a switch. */
const BURST_MS = 5;
const MIN_BURST_BYTES = 32 * 1024;

/** Token bucket in bytes. Urgent datagrams may overdraw it; the rest waits until it is refilled. */
export class Pacer {
  private bytesPerMs = 0;
  private burst = 0;
  private tokens: number;
  private filledMs: number;

  constructor(rateMbps: number, nowMs: number) {
    this.setRate(rateMbps * 125);
    this.tokens = this.burst;
    this.filledMs = nowMs;
  }

  /** Tokens earned at the old rate are kept, up to the new burst size. `minBurstBytes`: smaller for a congested path. */
  setRate(bytesPerMs: number, minBurstBytes = MIN_BURST_BYTES): void {
    this.bytesPerMs = bytesPerMs;
    this.burst = Math.max(minBurstBytes, bytesPerMs * BURST_MS);
  }

  spend(bytes: number): void {
    this.tokens -= bytes;
  }

  /** Time until a datagram may be sent, ms; 0: now. */
  readyInMs(nowMs: number): number {
    this.tokens = Math.min(this.burst, this.tokens + (nowMs - this.filledMs) * this.bytesPerMs);
    this.filledMs = nowMs;
    return this.tokens > 0 ? 0 : Math.max(0.01, -this.tokens / this.bytesPerMs);
  }
}
