/** Time's worth of rate that may go at once after a pause: short enough that a switch's buffer takes it. */
const BURST_MS = 5;
const MIN_BURST_BYTES = 32 * 1024;

/** Token bucket in bytes. Urgent datagrams may go into debt; the rest waits until it is paid back. */
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

  /** What was earned at the old rate stays, as far as the new one allows such a burst. `leastBurst`: for a way known to be narrow, less. */
  setRate(bytesPerMs: number, leastBurst = MIN_BURST_BYTES): void {
    this.bytesPerMs = bytesPerMs;
    this.burst = Math.max(leastBurst, bytesPerMs * BURST_MS);
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
