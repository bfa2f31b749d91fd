/** A pending call; only the clock that created it can clear it. */
export interface Timer {
  /** Lets the process exit while the timer is pending. */
  unref(): unknown;
}

/** Time as a dependency, so that tests decide what time it is. */
export interface Clock {
  /** Monotonic milliseconds since an arbitrary start, with fractions: for intervals, ages, timeouts. */
  now(): number;
  /** Milliseconds since the epoch: for what is shown or exchanged. */
  wall(): number;
  /** Never early by `now`; late by up to 2 ms. */
  setTimeout(fn: () => void, ms: number): Timer;
  clearTimeout(timer: Timer | undefined): void;
}

export const realClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  // Node truncates fractions and counts from the start of the event-loop turn, so a timer could fire early and its caller would have to re-arm it.
  setTimeout: (fn, ms) => setTimeout(fn, ms > 0 ? Math.ceil(ms) + 1 : 0),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
};
