import type { StreamState } from '@millrace/api';
import type { Clock, Logger } from '@millrace/service';
import type { EgressHandle, Relay } from '../relay/index.ts';
import { isSameRoute, type RoutePlan } from './route-plan.ts';

interface Hold {
  route: RoutePlan;
  egress: Promise<EgressHandle | undefined>;
}

const RETRY_MS = 2000;

/**
 * Streams that this node keeps subscribed to without viewers, at control's request. Each has an upstream subscription but no router. After a release, the
 * relay keeps the subscription for the stream's linger, as after the last viewer.
 */
export class Holds {
  readonly #relay: Pick<Relay, 'egress'>;
  readonly #plan: (state: StreamState) => RoutePlan;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #wanted = new Map<string, StreamState>();
  readonly #holds = new Map<string, Hold>();

  constructor(parts: { relay: Pick<Relay, 'egress'>; plan: (state: StreamState) => RoutePlan; logger: Logger; clock: Clock }) {
    this.#relay = parts.relay;
    this.#plan = parts.plan;
    this.#logger = parts.logger;
    this.#clock = parts.clock;
  }

  get streams(): string[] {
    return [...this.#holds.keys()];
  }

  want(state: StreamState): void {
    this.#wanted.set(state.stream, state);
    this.#keep(state);
  }

  /** Plans every held stream again, after routes may have changed. */
  replan(): void {
    for (const state of this.#wanted.values()) this.#keep(state);
  }

  release(stream: string, reason: string): void {
    this.#wanted.delete(stream);
    const held = this.#holds.get(stream);
    if (!held) return;
    this.#holds.delete(stream);
    void held.egress.then((egress) => egress?.close()).catch(() => undefined);
    this.#logger.info({ stream, reason }, 'stream no longer held here');
  }

  close(reason: string): void {
    for (const stream of [...this.#wanted.keys()]) this.release(stream, reason);
  }

  #keep({ stream, epoch, grant, policy }: StreamState): void {
    const route = this.#plan(this.#wanted.get(stream)!);
    const held = this.#holds.get(stream);
    // Without a route, wait for the next settings. A route that disappeared does not stop a stream that is flowing.
    if (!route.ok || (held && isSameRoute(route, held.route))) return;
    const { path, backup } = route;
    if (held) {
      held.route = route;
      void held.egress.then((egress) => egress?.reroute({ path, backup, epoch, grant })).catch(() => undefined);
      return;
    }
    const egress = this.#relay.egress({ stream, epoch, grant, path, backup, lingerMs: policy.lingerMs }).catch((err: unknown) => {
      this.#logger.warn({ err, stream }, 'stream cannot be held; trying again');
      this.#holds.delete(stream);
      this.#clock.setTimeout(() => this.#retry(stream), RETRY_MS).unref();
      return undefined;
    });
    this.#holds.set(stream, { route, egress });
    this.#logger.info({ stream, path }, 'stream held here');
  }

  #retry(stream: string): void {
    const state = this.#wanted.get(stream);
    if (state && !this.#holds.has(stream)) this.#keep(state);
  }
}
