import { AddressRate, type Clock } from '@millrace/service';
import { RateLimit } from './cookie.ts';

/**
 * A rate for each source prefix (an IPv4 address, or the /64 of an IPv6 one) and one for all of them together, so that no prefix uses up what the
 * others need. Twice the rate is taken at once. Memory is bounded by AddressRate: beyond 10,000 prefixes the one that was quiet longest is forgotten.
 */
export class SourceLimit {
  private readonly ofPrefix: AddressRate;
  private readonly ofAll: RateLimit;

  constructor(rates: { perSecondOfPrefix: number; perSecond: number; clock: Clock }) {
    const { perSecondOfPrefix, perSecond, clock } = rates;
    this.ofPrefix = new AddressRate({ perSecond: perSecondOfPrefix, burst: 2 * perSecondOfPrefix, clock });
    this.ofAll = new RateLimit(perSecond, 2 * perSecond, clock.now());
  }

  /** What one prefix may not take is taken from nobody else. */
  take(address: string, nowMs: number): boolean {
    return this.ofPrefix.take(address) && this.ofAll.take(nowMs);
  }
}
