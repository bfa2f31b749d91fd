export type Sensitivity = 'Low' | 'Medium' | 'High';

/** The silence that ends a trunk: its probability on a working trunk, and its minimum length. */
const RULES: Record<Sensitivity, { probability: number; floorMs: number }> = {
  Low: { probability: 1e-9, floorMs: 250 },
  Medium: { probability: 1e-6, floorMs: 150 },
  High: { probability: 1e-4, floorMs: 100 },
};

/** Loss assumed of a trunk without measured loss (0 to 1): three missed heartbeats in a row then have a probability of one in a million. */
const MIN_LOSS = 0.0099;
/** Upper bound of the loss taken into account, so that silence ends even the worst trunk. */
const MAX_LOSS = 0.9;
/** Upper bound of the allowance for jitter. */
const MAX_GRACE_MS = 60;

export interface Silence {
  /** The longest gap between datagrams that the peer announced, ms. */
  maxGapMs: number;
  jitterMs: number;
  /** Measured loss of the peer's datagrams, 0 to 1. */
  loss: number;
}

/**
 * Number of missed heartbeats after which a trunk is lost: the least n with loss^n below the rule's probability. A trunk without loss is given up
 * after about three, one that loses a third after a dozen (the phi accrual detector, Hayashibara et al., SRDS 2004, with loss in place of an
 * interval distribution).
 */
export function maxMissedBeats(loss: number, sensitivity: Sensitivity): number {
  const known = Math.min(MAX_LOSS, Math.max(MIN_LOSS, loss));
  return Math.ceil(Math.log(RULES[sensitivity].probability) / Math.log(known));
}

/** Silence after which the trunk is lost, ms. */
export function silenceTimeoutMs(silence: Silence, sensitivity: Sensitivity): number {
  const graceMs = Math.min(MAX_GRACE_MS, 4 * silence.jitterMs);
  const misses = maxMissedBeats(silence.loss, sensitivity);
  return Math.max(RULES[sensitivity].floorMs, misses * silence.maxGapMs + graceMs);
}
