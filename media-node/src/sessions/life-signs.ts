/** From the creation of a plain RTP viewer's session to its first packet. */
export const MAX_FIRST_SIGN_MS = 15_000;
/** The same between two packets. RTCP comes about every 5 s (RFC 3550 section 6.2), so several reports may be lost. */
export const MAX_QUIET_MS = 30_000;

/** Why a viewer's session ends. Few and constant: they are metric labels too. */
export const QUIET_REASONS = {
  never: 'the viewer sent no RTCP, nor any other packet, after it opened the session',
  quiet: 'the viewer sends no RTCP, nor any other packet, any more',
} as const;

export interface LifeLimits {
  /** See MAX_FIRST_SIGN_MS. */
  firstSignMs: number;
  /** See MAX_QUIET_MS. */
  quietMs: number;
}

export const LIFE_LIMITS: LifeLimits = { firstSignMs: MAX_FIRST_SIGN_MS, quietMs: MAX_QUIET_MS };

/** What is known of a viewer. Times are those of HeardTime, in ms. */
export interface LifeSigns {
  openedAtMs: number;
  /** Received from the client so far. */
  bytes: number;
  /** When the last look found more bytes than the one before; undefined: there never were any. */
  heardAtMs: number | undefined;
}

/** Adds one look to what is known. Pure. @param bytes received so far */
export function observeLife(before: LifeSigns | undefined, bytes: number, nowMs: number): LifeSigns {
  const hasGrown = bytes > (before?.bytes ?? 0);
  return { openedAtMs: before?.openedAtMs ?? nowMs, bytes, heardAtMs: hasGrown ? nowMs : before?.heardAtMs };
}

/** When the session ends, and why, unless a packet comes before. Pure. */
export function quietEndOf({ openedAtMs, heardAtMs }: LifeSigns, limits: LifeLimits): { dueMs: number; reason: string } {
  return heardAtMs === undefined
    ? { dueMs: openedAtMs + limits.firstSignMs, reason: QUIET_REASONS.never }
    : { dueMs: heardAtMs + limits.quietMs, reason: QUIET_REASONS.quiet };
}

/** Longest time between two looks at a viewer that has sent something. */
const MAX_LOOK_INTERVAL_MS = 5000;

/** When to look again. A viewer that has sent nothing yet is looked at each time. Pure. */
export function nextLookOf(signs: LifeSigns, nowMs: number, limits: LifeLimits): number {
  if (signs.heardAtMs === undefined) return nowMs;
  return Math.min(nowMs + MAX_LOOK_INTERVAL_MS, quietEndOf(signs, limits).dueMs);
}
