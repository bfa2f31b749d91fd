import { exponentialMs } from '@millrace/service';
import { routeKey, type Route } from './routes.ts';

/** How long a failed node or route is avoided while there is another one. */
const AVOID_MS = 2000;
const RETRY = { baseMs: 250, maxMs: 5000 };
/** Shorter, since a publisher that dropped out usually returns within seconds. */
const RETRY_ENDED = { baseMs: 250, maxMs: 1000 };

/** Recent failures of one stream's nodes and routes, and the back-off after all routes failed. */
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

  /** The next hop is alive but reports that this route does not lead to the stream. */
  route(route: Route, nowMs: number): void {
    this.#routes.set(routeKey(route.hops), nowMs + AVOID_MS);
  }

  avoids(route: Route, nowMs: number): boolean {
    if (route.hops.some((node) => (this.#nodes.get(node) ?? -Infinity) > nowMs)) return true;
    return (this.#routes.get(routeKey(route.hops)) ?? -Infinity) > nowMs;
  }

  /** Doubles from 250 ms to 5 s, with jitter of a quarter, so that the subscribers of a dead relay do not retry in step. */
  scheduleRetry(nowMs: number, after: 'lost' | 'ended'): void {
    this.#attempts += 1;
    const delayMs = exponentialMs(after === 'lost' ? RETRY : RETRY_ENDED, this.#attempts);
    this.retryAtMs = nowMs + delayMs * (0.75 + 0.5 * this.#random());
  }

  /** Control sent new routes: forgets failed routes. Failed nodes stay avoided. */
  forgiveRoutes(): void {
    this.#routes.clear();
  }

  /** Forgets all failures, before the next round over all routes. */
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
