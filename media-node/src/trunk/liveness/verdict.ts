export type Sensitivity = 'Low' | 'Medium' | 'High';

/** How improbable the silence must be on a living trunk, and how long it must last at least. */
const RULES: Record<Sensitivity, { improbability: number; floorMs: number }> = {
  Low: { improbability: 1e-9, floorMs: 250 },
  Medium: { improbability: 1e-6, floorMs: 150 },
  High: { improbability: 1e-4, floorMs: 100 },
};

/** Loss that even a trunk that has lost nothing so far may have; with it, three missed beats are one in a million. */
const LEAST_LOSS = 0.0099;
/** Silence this long ends any trunk in use, however bad it was before. */
const MOST_LOSS = 0.9;
/** Jitter counted in full below this much: a beat is missed only when it is later than the path's own variation explains. */
const MOST_GRACE_MS = 60;

export interface Silence {
  /** The longest gap that the peer has promised, ms. */
  promiseMs: number;
  jitterMs: number;
  /** Known share of the peer's datagrams that do not arrive, 0 to 1. */
  loss: number;
}

/**
 * Beats missed on a trunk that was given up: the least n with loss^n below the improbability. A trunk that loses nothing is given up
 * after three or so, one that loses a third after a dozen (the idea of the phi accrual detector, Hayashibara et al., SRDS 2004, with loss
 * in place of an interval distribution).
 */
export function missesToGiveUp(loss: number, sensitivity: Sensitivity): number {
  const known = Math.min(MOST_LOSS, Math.max(LEAST_LOSS, loss));
  return Math.ceil(Math.log(RULES[sensitivity].improbability) / Math.log(known));
}

/** Milliseconds of silence after which the trunk is given up. */
export function patienceMs(silence: Silence, sensitivity: Sensitivity): number {
  const graceMs = Math.min(MOST_GRACE_MS, 4 * silence.jitterMs);
  const misses = missesToGiveUp(silence.loss, sensitivity);
  return Math.max(RULES[sensitivity].floorMs, misses * silence.promiseMs + graceMs);
}
