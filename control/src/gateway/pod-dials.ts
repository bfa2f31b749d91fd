import type { Clock } from '@millrace/service';

/** Connections of one pod that have not said hello: a node that restarts has one, and perhaps one that is about to end. */
const MAX_DIALLING = 2;
/** How long a pod waits whose message was not of this protocol, ms. */
const SPOILT_MS = 30_000;
const MAX_SPOILT = 10_000;

/** The dials of each pod, by the uid that the API server has vouched for: one compromised node takes no places of the others. */
export class PodDials {
  readonly #clock: Clock;
  readonly #dialling = new Map<string, number>();
  readonly #spoiltUntilMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a connection until the returned function is called for the first time. @returns why it is refused, if it is */
  enter(podUid: string): (() => void) | string {
    const untilMs = this.#spoiltUntilMs.get(podUid) ?? -Infinity;
    if (this.#clock.now() < untilMs) return 'this pod sent what no node sends: update it, and dial again later';
    this.#spoiltUntilMs.delete(podUid);
    const count = this.#dialling.get(podUid) ?? 0;
    if (count >= MAX_DIALLING) return `${MAX_DIALLING} connections of this pod have not said hello yet`;
    this.#dialling.set(podUid, count + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const rest = (this.#dialling.get(podUid) ?? 1) - 1;
      if (rest > 0) this.#dialling.set(podUid, rest);
      else this.#dialling.delete(podUid);
    };
  }

  spoilt(podUid: string): void {
    if (this.#spoiltUntilMs.size >= MAX_SPOILT) this.#spoiltUntilMs.clear();
    this.#spoiltUntilMs.set(podUid, this.#clock.now() + SPOILT_MS);
  }
}
