/** Maximum time over which moves are spread, so that a full node's viewers do not arrive elsewhere at once. */
const SPREAD_MS = 60_000;
const PER_SESSION_MS = 20;

/**
 * When each session of a draining node gets its `move` notice: in order, evenly spread over at most half of the remaining time.
 * @returns delays in ms from now, by session
 */
export function planMoves<T>(sessions: readonly T[], leftMs: number): { session: T; afterMs: number }[] {
  const spanMs = Math.max(0, Math.min(SPREAD_MS, leftMs / 2, sessions.length * PER_SESSION_MS));
  return sessions.map((session, index) => ({ session, afterMs: Math.floor((spanMs * index) / Math.max(1, sessions.length)) }));
}
