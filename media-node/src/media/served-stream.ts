import type { StreamState } from '@millrace/api';
import { Problem, type Clock, type Logger, type Timer } from '@millrace/service';
import type { Egress, Relay } from '../relay/index.ts';
import type { MediaCore } from './cores.ts';
import { canContinue, Distribution } from './distribution.ts';
import type { Ending } from './ending.ts';
import { detourOf, isSameRoute, type RoutePlan } from './route-plan.ts';

export interface ServedStreamParts {
  relay: Pick<Relay, 'egress'>;
  plan: (state: StreamState) => RoutePlan;
  /** Somebody is about to become a viewer, of whichever distribution. */
  isAskedFor: () => boolean;
  /** Its last distribution is closed, so. */
  onUnserved: (ending: Ending) => void;
  logger: Logger;
  clock: Clock;
  /** How long viewers wait for a publisher that dropped out. */
  republishMs: number;
}

/** A StreamRoute made a moment ago is planned and programmed by then; a viewer for whom it is not is told to try again. */
const ROUTE_WITHIN_MS = 3_000;

/** By then a relay that was killed runs again, or the operator has other ways. */
const DETOUR_MS = 10_000;

/** One stream that viewers here play: its way upstream, its distributions on the cores, and whether there is anything to come. */
export class ServedStream {
  readonly #parts: ServedStreamParts;
  readonly #plan: () => RoutePlan;
  #state: StreamState;
  #route: RoutePlan;
  /** By core. */
  readonly #distributions = new Map<number, Promise<Distribution>>();
  readonly #open = new Set<Distribution>();
  /** Said upstream, by the publisher's node. */
  #hasEnded = false;
  /** No way to it works. */
  #isLost = false;
  /** The directory does not know it (any more). */
  #isForgotten = false;
  /** Runs while the viewers wait for it. */
  #orphaned: Timer | undefined;
  /** Called when there is a route. */
  readonly #awaitingRoute = new Set<() => void>();
  /** Runs until the planned way is tried again. */
  #detoured: Timer | undefined;

  constructor(state: StreamState, parts: ServedStreamParts) {
    this.#parts = parts;
    this.#state = state;
    this.#plan = () => parts.plan(this.#state);
    this.#route = this.#plan();
  }

  get state(): StreamState {
    return this.#state;
  }

  get viewers(): number {
    return [...this.#open].reduce((sum, { viewers }) => sum + viewers, 0);
  }

  /** Media comes, whatever the directory says. */
  get isFlowing(): boolean {
    return this.#open.size > 0 && !this.#hasEnded && !this.#isLost;
  }

  viewersOn(core: number): number {
    return [...this.#open].reduce((sum, { core: { index }, viewers }) => sum + (index === core ? viewers : 0), 0);
  }

  /**
   * The distribution on this core; the first one subscribes upstream.
   * @throws Problem when the stream cannot be reached
   */
  distribute(core: MediaCore): Promise<Distribution> {
    const { index } = core;
    const existing = this.#distributions.get(index);
    if (existing) return existing;
    const opening = this.#start(core);
    this.#distributions.set(index, opening);
    opening.then(
      (distribution) => this.#watch(index, distribution),
      () => this.#drop(index),
    );
    return opening;
  }

  /** What the directory says of it now; undefined: nothing. */
  learn(state: StreamState | undefined, isPublishedHere: boolean): void {
    // Viewers wait for the next publisher of the name as long as for the one before.
    if (state && state.epoch > this.#state.epoch) this.#adopt();
    if (state) this.#state = state;
    this.#isForgotten = !state && !isPublishedHere;
    this.#settle();
    this.reroute();
  }

  /** Routes may have changed. A route that vanished does not stop what flows. */
  reroute(): void {
    const route = this.#plan();
    if (!route.ok || isSameRoute(route, this.#route)) return;
    this.#route = route;
    for (const goOn of this.#awaitingRoute) goOn();
    for (const { egress } of this.#open) egress.reroute(route.path, route.backup).catch(() => undefined);
    this.#parts.logger.info({ stream: this.#state.stream, path: route.path.map(({ node }) => node) }, 'stream rerouted');
  }

  /** Nobody is about to play it any more. */
  closeUnused(): void {
    for (const distribution of [...this.#open]) if (distribution.viewers === 0) distribution.close('nobody plays it');
  }

  close(reason: string): void {
    for (const distribution of [...this.#open]) distribution.close(reason);
  }

  async #start(core: MediaCore): Promise<Distribution> {
    this.#route = this.#plan();
    if (!this.#route.ok) await this.#untilRouted();
    const { stream, epoch, policy } = this.#state;
    if (!this.#route.ok)
      throw new Problem(503, 'No route to the stream', { detail: this.#route.reason, headers: { 'retry-after': '2' } });
    const { path, backup } = this.#route;
    const egress = await this.#parts.relay.egress({ stream, epoch, path, backup, lingerMs: policy.lingerMs });
    this.#follow(egress);
    return Distribution.open(core, stream, egress);
  }

  /** Resolves when a route is known, at the latest after `ROUTE_WITHIN_MS`. */
  async #untilRouted(): Promise<void> {
    const { clock } = this.#parts;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = clock.setTimeout(resolve, ROUTE_WITHIN_MS);
    this.#awaitingRoute.add(resolve);
    await promise;
    clock.clearTimeout(timer);
    this.#awaitingRoute.delete(resolve);
  }

  #watch(core: number, distribution: Distribution): void {
    const { stream } = this.#state;
    const { logger } = this.#parts;
    this.#open.add(distribution);
    logger.info({ stream, core: distribution.core.index }, 'stream served here');
    distribution.once('closed', (reason, ending) => {
      this.#open.delete(distribution);
      this.#drop(core, ending);
      logger.info({ stream, core: distribution.core.index, reason }, 'stream no longer served here');
    });
    // The relay keeps the upstream subscription for the linger; a worker's end of it is cheap to make again.
    distribution.on('idle', () => {
      if (!this.#parts.isAskedFor()) distribution.close('the last viewer left');
    });
    distribution.egress.on('description', ({ tracks }) => {
      if (!canContinue(distribution.tracks, tracks)) distribution.close('the publisher changed its tracks', 'displaced');
    });
  }

  #drop(core: number, ending: Ending = 'over'): void {
    this.#distributions.delete(core);
    if (this.#distributions.size > 0) return;
    this.#adopt();
    this.#parts.clock.clearTimeout(this.#detoured);
    this.#parts.onUnserved(ending);
  }

  /** From before the distribution stands: what is missed then would never be heard again. */
  #follow(egress: Egress): void {
    const flows = (): void => this.#upstream(false, false);
    egress.on('description', flows);
    egress.on('flowing', flows);
    egress.on('ended', () => this.#upstream(true, false));
    egress.on('lost', (reason) => {
      this.#parts.logger.warn({ stream: this.#state.stream, reason }, 'upstream lost');
      this.#upstream(this.#hasEnded, true);
      this.#detour(egress);
    });
  }

  #upstream(hasEnded: boolean, isLost: boolean): void {
    this.#hasEnded = hasEnded;
    this.#isLost = isLost;
    this.#settle();
  }

  /** The relay looks for media on the planned way again when that is tried, and keeps what flows until then. */
  #detour(egress: Egress): void {
    const detour = detourOf(this.#plan(), this.#state);
    if (!detour || this.#hasEnded) return;
    this.#route = detour;
    egress.reroute(detour.path, detour.backup).catch(() => undefined);
    const { clock } = this.#parts;
    clock.clearTimeout(this.#detoured);
    this.#detoured = clock.setTimeout(() => this.reroute(), DETOUR_MS);
    this.#detoured.unref();
  }

  /** What flows is not gone: a publisher's node that only control cannot reach is forgotten there, and here goes on to be seen. */
  #settle(): void {
    if (this.#hasEnded || (this.#isForgotten && this.#isLost)) return this.#orphan();
    this.#adopt();
    for (const distribution of this.#open) distribution.resume();
  }

  #adopt(): void {
    this.#parts.clock.clearTimeout(this.#orphaned);
    this.#orphaned = undefined;
  }

  /** A publisher that drops out may come back under the same name: viewers wait a while for it. */
  #orphan(): void {
    for (const distribution of this.#open) distribution.pause('the publisher is gone');
    this.#orphaned ??= this.#parts.clock.setTimeout(() => this.close('the stream ended'), this.#parts.republishMs);
  }
}
