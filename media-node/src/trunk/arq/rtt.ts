/** Minimum retransmission timeout: KCP's floor in its quick mode. */
const MIN_RTO_MS = 30;
const MAX_RTO_MS = 2_000;
const INITIAL_RTO_MS = 200;

/** Smoothed RTT and retransmission timeout (RFC 6298, with KCP's floor). One for all conversations of a trunk: they share its path. */
export class RttEstimator {
  smoothedMs = 0;
  rtoMs = INITIAL_RTO_MS;
  private variationMs = 0;
  /** Extra time for an acknowledgement, ms: FEC may recover the segment, or a repeated acknowledgement may arrive. */
  slackMs = 0;
  private readonly ackDelayMs: number;

  /** `ackDelayMs`: how long the peer may delay an acknowledgement. */
  constructor(ackDelayMs: number) {
    this.ackDelayMs = ackDelayMs;
  }

  sample(rttMs: number): void {
    if (this.smoothedMs === 0) {
      this.smoothedMs = Math.max(rttMs, 0.001);
      this.variationMs = rttMs / 2;
    } else {
      this.variationMs += (Math.abs(rttMs - this.smoothedMs) - this.variationMs) / 4;
      this.smoothedMs += (rttMs - this.smoothedMs) / 8;
    }
    const rto = this.smoothedMs + Math.max(this.ackDelayMs, 4 * this.variationMs) + this.slackMs;
    this.rtoMs = Math.min(MAX_RTO_MS, Math.max(MIN_RTO_MS, rto));
  }
}
