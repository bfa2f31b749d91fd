/** Time's worth of rate that may go at once after a pause: short enough that a switch's buffer takes it. */
const BURST_MS = 5;
const MIN_BURST_BYTES = 32 * 1024;

/** Token bucket in bytes. Urgent datagrams may go into debt; the rest waits until it is paid back. */
export class Pacer {
  private readonly bytesPerMs: number;
  private readonly burst: number;
  private tokens: number;
  private filledMs: number;

  constructor(rateMbps: number, nowMs: number) {
    this.bytesPerMs = rateMbps * 125;
    this.burst = Math.max(MIN_BURST_BYTES, this.bytesPerMs * BURST_MS);
    this.tokens = this.burst;
    this.filledMs = nowMs;
  }

  spend(bytes: number): void {
    this.tokens -= bytes;
  }

  /** 0 when something may go now. */
  readyInMs(nowMs: number): number {
    this.tokens = Math.min(this.burst, this.tokens + (nowMs - this.filledMs) * this.bytesPerMs);
    this.filledMs = nowMs;
    return this.tokens > 0 ? 0 : Math.max(0.01, -this.tokens / this.bytesPerMs);
  }
}
