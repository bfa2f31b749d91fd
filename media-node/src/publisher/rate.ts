import { MAX_RATE_RATIO } from '../gate/index.ts';

/** A publisher's rate is that over this time. */
const WINDOW_MS = 10_000;
/** No rate is known before this much of it has passed. */
const MIN_WINDOW_MS = 5000;
/** How long a publisher may stay above its limit. */
export const MAX_ABOVE_MS = 30_000;
/** A publisher of which nothing was withheld for this long is no longer throttled. */
const MAX_THROTTLED_AGE_MS = 5000;

/** Counters at the gate; they only grow. */
export interface RateSample {
  /** Bytes of RTP packets that arrived, headers included. */
  bytes: number;
  /** Packets that were withheld because of the limit. */
  withheld: number;
  /** `maxPublishKbps`; undefined: no limit. */
  maxKbps: number | undefined;
}

export interface PublishRate {
  /** The oldest one is at least WINDOW_MS old, once there are enough. */
  samples: readonly { atMs: number; bytes: number }[];
  withheld: number;
  withheldAtMs: number | undefined;
  /** undefined: not known yet. */
  kbps: number | undefined;
  maxKbps: number | undefined;
  /** Since when the rate is above the limit. */
  aboveSinceMs: number | undefined;
}

/** Adds one look. Pure. @param nowMs as `Moment.heardMs` */
export function observeRate(
  before: PublishRate | undefined,
  { bytes, withheld, maxKbps }: RateSample,
  nowMs: number,
): PublishRate {
  const all = [...(before?.samples ?? []), { atMs: nowMs, bytes }];
  const firstWithin = all.findIndex(({ atMs }) => atMs > nowMs - WINDOW_MS);
  const samples = all.slice(Math.max(0, firstWithin - 1));
  const spanMs = nowMs - samples[0]!.atMs;
  // Bytes over milliseconds are kilobits per second when multiplied by 8.
  const kbps = spanMs < MIN_WINDOW_MS ? undefined : ((bytes - samples[0]!.bytes) * 8) / spanMs;
  const isAbove = kbps !== undefined && maxKbps !== undefined && kbps > maxKbps * MAX_RATE_RATIO;
  return {
    samples,
    withheld,
    withheldAtMs: withheld > (before?.withheld ?? 0) ? nowMs : before?.withheldAtMs,
    kbps,
    maxKbps,
    aboveSinceMs: isAbove ? (before?.aboveSinceMs ?? nowMs) : undefined,
  };
}

/** What the publisher's status says while something is withheld; undefined: nothing is. Pure. */
export function throttledOf(rate: PublishRate, nowMs: number): { kbps: number; maxKbps: number } | undefined {
  const { kbps, maxKbps, withheldAtMs } = rate;
  if (maxKbps === undefined || withheldAtMs === undefined || nowMs - withheldAtMs > MAX_THROTTLED_AGE_MS) return undefined;
  return { kbps: Math.round(kbps ?? 0), maxKbps };
}

/** The constant part of the reason: a metric label. */
export const ABOVE_LIMIT = 'the publisher stayed above its bit rate limit';

/** Why the publisher is ended now; undefined: it is not. Pure. */
export function rateEndOf(rate: PublishRate, nowMs: number, maxAboveMs = MAX_ABOVE_MS): string | undefined {
  const { kbps = 0, maxKbps, aboveSinceMs } = rate;
  if (maxKbps === undefined || aboveSinceMs === undefined || nowMs - aboveSinceMs < maxAboveMs) return undefined;
  return `${ABOVE_LIMIT}: ${Math.round(kbps)} kbit/s, at most ${maxKbps} (quality.maxPublishKbps)`;
}
