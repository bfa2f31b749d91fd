import { exponentialMs } from '@millrace/service';
import { routeKey, type Route } from './routes.ts';

/** A node or a way that failed is passed over for this long, when there is another one. */
const AVOID_MS = 2000;
const RETRY = { baseMs: 250, maxMs: 5000 };
/** A publisher that dropped out comes back within seconds, and its viewers are waiting. */
const RETRY_ENDED = { baseMs: 250, maxMs: 1000 };

/** What failed lately for one stream, and when to try again after everything did. */
export class Failures {
  readonly #nodes = new Map<string, number>();
  readonly #routes = new Map<string, number>();
  readonly #random: () => number;
  #attempts = 0;
  retryAtMs = Infinity;

  constructor(random: () => number) {
    this.#random = random;
  }

  node(name: string, nowMs: number): void {
    this.#nodes.set(name, nowMs + AVOID_MS);
  }

  /** It is reachable again. */
  forgiveNode(name: string): void {
    this.#nodes.delete(name);
  }

  /** The next hop lives, but says that this way does not lead to the stream. */
  route(route: Route, nowMs: number): void {
    this.#routes.set(routeKey(route.hops), nowMs + AVOID_MS);
  }

  avoids(route: Route, nowMs: number): boolean {
    if (route.hops.some((hop) => (this.#nodes.get(hop.node) ?? -Infinity) > nowMs)) return true;
    return (this.#routes.get(routeKey(route.hops)) ?? -Infinity) > nowMs;
  }

  /** Doubles from 250 ms to 5 s, with jitter of a quarter so that the viewers of a dead relay do not come back as one. */
  scheduleRetry(nowMs: number, after: 'lost' | 'ended'): void {
    this.#attempts += 1;
    const delayMs = exponentialMs(after === 'lost' ? RETRY : RETRY_ENDED, this.#attempts);
    this.retryAtMs = nowMs + delayMs * (0.75 + 0.5 * this.#random());
  }

  /** Control gave other ways, or the same anew: what a way was worth before says little. Nodes that failed stay avoided. */
  forgiveRoutes(): void {
    this.#routes.clear();
  }

  /** Before another round over all ways. */
  forgive(): void {
    this.#nodes.clear();
    this.#routes.clear();
    this.retryAtMs = Infinity;
  }

  /** The stream flows. */
  recovered(): void {
    this.#attempts = 0;
    this.retryAtMs = Infinity;
  }
}
