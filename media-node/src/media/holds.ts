import type { StreamState } from '@millrace/api';
import type { Logger } from '@millrace/service';
import type { Egress, Relay } from '../relay/index.ts';
import { isSameRoute, type RoutePlan } from './route-plan.ts';

interface Hold {
  route: RoutePlan;
  egress: Promise<Egress | undefined>;
}

/**
 * Streams that are kept here without a viewer, because control says so: a subscription each, no router. Letting go is like the last viewer's
 * leaving: the relay keeps the stream for its linger.
 */
export class Holds {
  readonly #relay: Pick<Relay, 'egress'>;
  readonly #logger: Logger;
  readonly #holds = new Map<string, Hold>();

  constructor(relay: Pick<Relay, 'egress'>, logger: Logger) {
    this.#relay = relay;
    this.#logger = logger;
  }

  get streams(): string[] {
    return [...this.#holds.keys()];
  }

  /** Makes what is held equal to `states`. */
  apply(states: readonly StreamState[], plan: (state: StreamState) => RoutePlan): void {
    const wanted = new Set(states.map(({ stream }) => stream));
    for (const stream of [...this.#holds.keys()]) if (!wanted.has(stream)) this.#letGo(stream, 'no longer asked to hold it');
    for (const state of states) this.#keep(state, plan(state));
  }

  close(reason: string): void {
    for (const stream of [...this.#holds.keys()]) this.#letGo(stream, reason);
  }

  #keep({ stream, epoch, policy }: StreamState, route: RoutePlan): void {
    const held = this.#holds.get(stream);
    // Without a way now, the next snapshot may bring one; a way that vanished does not stop what flows.
    if (!route.ok || (held && isSameRoute(route, held.route))) return;
    const { path, backup } = route;
    if (held) {
      held.route = route;
      void held.egress.then((egress) => egress?.reroute(path, backup)).catch(() => undefined);
      return;
    }
    const egress = this.#relay.egress({ stream, epoch, path, backup, lingerMs: policy.lingerMs }).catch((err: unknown) => {
      this.#logger.warn({ err, stream }, 'stream cannot be held');
      this.#holds.delete(stream);
      return undefined;
    });
    this.#holds.set(stream, { route, egress });
    this.#logger.info({ stream, path: path.map(({ node }) => node) }, 'stream held here');
  }

  #letGo(stream: string, reason: string): void {
    const held = this.#holds.get(stream);
    this.#holds.delete(stream);
    void held?.egress.then((egress) => egress?.close()).catch(() => undefined);
    this.#logger.info({ stream, reason }, 'stream no longer held here');
  }
}
