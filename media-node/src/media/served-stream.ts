import type { StreamState } from '@millrace/api';
import { Problem, type Clock, type Logger, type Timer } from '@millrace/service';
import type { EgressHandle, Relay } from '../relay/index.ts';
import type { MediaCore } from './cores.ts';
import { canContinue, Distribution } from './distribution.ts';
import type { Ending } from './ending.ts';
import { detourOf, isSameRoute, type RoutePlan } from './route-plan.ts';

export interface ServedStreamParts {
  relay: Pick<Relay, 'egress'>;
  plan: (state: StreamState) => RoutePlan;
  /** Whether a request to play the stream is pending. */
  hasPendingRequests: () => boolean;
  /** Called when the last distribution has closed. */
  onUnserved: (ending: Ending) => void;
  logger: Logger;
  clock: Clock;
  /** How long viewers wait for a publisher that dropped out. */
  republishMs: number;
}

/** How long a viewer waits for a route. The operator plans and programs a new StreamRoute within this time; otherwise the viewer is told to try again. */
const ROUTE_WITHIN_MS = 3_000;

/** How long a detour lasts. By then a killed relay has restarted, or the operator has computed other routes. */
const DETOUR_MS = 10_000;

/** One stream that viewers of this node play: its route upstream, its distributions on the cores, and whether its media still flows. */
export class ServedStream {
  readonly #parts: ServedStreamParts;
  readonly #plan: () => RoutePlan;
  #state: StreamState;
  #route: RoutePlan;
  /** By core. */
  readonly #distributions = new Map<number, Promise<Distribution>>();
  readonly #open = new Set<Distribution>();
  /** The origin announced the end of the stream. */
  #hasEnded = false;
  /** No path to the origin works. */
  #isLost = false;
  /** The directory does not know the stream, or no longer does. */
  #isForgotten = false;
  /** Runs while the viewers wait for a publisher. */
  #endTimer: Timer | undefined;
  /** Callbacks of viewers that wait for a route. */
  readonly #awaitingRoute = new Set<() => void>();
  /** Runs until the planned route is tried again. */
  #detourTimer: Timer | undefined;

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

  /** Whether media still arrives, even when the directory does not know the stream. */
  get isFlowing(): boolean {
    return this.#open.size > 0 && !this.#hasEnded && !this.#isLost;
  }

  viewersOn(core: number): number {
    return [...this.#open].reduce((sum, { core: { index }, viewers }) => sum + (index === core ? viewers : 0), 0);
  }

  /**
   * The distribution on this core. The first distribution subscribes upstream.
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

  /** Takes the directory's current state of the stream; undefined: the directory does not know it. */
  learn(state: StreamState | undefined, isPublishedHere: boolean): void {
    // A new epoch restarts the time for which viewers wait for a publisher.
    if (state && state.epoch > this.#state.epoch) this.#stopWaiting();
    if (state) this.#state = state;
    this.#isForgotten = !state && !isPublishedHere;
    this.#reassess();
    this.reroute();
  }

  /** Applies a changed route. A route that disappeared does not stop a stream that is flowing. */
  reroute(): void {
    const route = this.#plan();
    if (!route.ok || isSameRoute(route, this.#route)) return;
    this.#route = route;
    for (const resume of this.#awaitingRoute) resume();
    for (const { egress } of this.#open) this.#send(egress, route);
    this.#parts.logger.info({ stream: this.#state.stream, path: route.path }, 'stream rerouted');
  }

  #send(egress: EgressHandle, { path, backup }: RoutePlan & { ok: true }): void {
    const { epoch, grant } = this.#state;
    egress.reroute({ path, backup, epoch, grant }).catch(() => undefined);
  }

  /** Closes distributions without viewers, when no request is pending any more. */
  closeUnused(): void {
    for (const distribution of [...this.#open]) if (distribution.viewers === 0) distribution.close('nobody plays it');
  }

  close(reason: string): void {
    for (const distribution of [...this.#open]) distribution.close(reason);
  }

  async #start(core: MediaCore): Promise<Distribution> {
    this.#route = this.#plan();
    if (!this.#route.ok) await this.#untilRouted();
    const { stream, epoch, grant, policy } = this.#state;
    if (!this.#route.ok)
      throw new Problem(503, 'No route to the stream', { detail: this.#route.reason, headers: { 'retry-after': '2' } });
    const { path, backup } = this.#route;
    const egress = await this.#parts.relay.egress({ stream, epoch, grant, path, backup, lingerMs: policy.lingerMs });
    this.#follow(egress);
    return Distribution.open(core, stream, egress);
  }

  /** Resolves when a route is known, or after `ROUTE_WITHIN_MS`. */
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
    // The relay keeps the upstream subscription for the linger. Recreating the worker's part is cheap.
    distribution.on('idle', () => {
      if (!this.#parts.hasPendingRequests()) distribution.close('the last viewer left');
    });
    distribution.egress.on('description', ({ tracks }) => {
      if (!canContinue(distribution.tracks, tracks)) distribution.close('the publisher changed its tracks', 'displaced');
    });
  }

  #drop(core: number, ending: Ending = 'over'): void {
    this.#distributions.delete(core);
    if (this.#distributions.size > 0) return;
    this.#stopWaiting();
    this.#parts.clock.clearTimeout(this.#detourTimer);
    this.#parts.onUnserved(ending);
  }

  /** Listens to the egress from before the distribution is open, because events missed until then are not repeated. */
  #follow(egress: EgressHandle): void {
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
    this.#reassess();
  }

  /** Reroutes around a broken planned path and tries the planned path again after `DETOUR_MS`. The relay keeps what flows until then. */
  #detour(egress: EgressHandle): void {
    const detour = detourOf(this.#plan(), this.#state);
    if (!detour || this.#hasEnded) return;
    this.#route = detour;
    this.#send(egress, detour);
    const { clock } = this.#parts;
    clock.clearTimeout(this.#detourTimer);
    this.#detourTimer = clock.setTimeout(() => this.reroute(), DETOUR_MS);
    this.#detourTimer.unref();
  }

  /** Decides whether viewers wait for a publisher. A stream that still flows goes on, even when control forgot it because it cannot reach the origin. */
  #reassess(): void {
    if (this.#hasEnded || (this.#isForgotten && this.#isLost)) return this.#awaitPublisher();
    this.#stopWaiting();
    for (const distribution of this.#open) distribution.resume();
  }

  #stopWaiting(): void {
    this.#parts.clock.clearTimeout(this.#endTimer);
    this.#endTimer = undefined;
  }

  /** Lets viewers wait for a publisher that dropped out and may come back under the same name. */
  #awaitPublisher(): void {
    for (const distribution of this.#open) distribution.pause('the publisher is gone');
    this.#endTimer ??= this.#parts.clock.setTimeout(() => this.close('the stream ended'), this.#parts.republishMs);
  }
}
