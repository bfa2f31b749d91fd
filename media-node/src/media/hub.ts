import type { StreamPolicy, StreamState } from '@millrace/api';
import { Problem, type Clock, type Logger, type Timer } from '@millrace/service';
import type { types } from 'mediasoup';
import type { PushTrack } from '../sdp/index.ts';
import type { MediaCore, MediaCores } from './cores.ts';
import type { Ending } from './ending.ts';
import { Holds } from './holds.ts';
import { canContinue, Distribution, type TrackNumbering } from './distribution.ts';
import { Origin, type PublisherTransport } from './origin.ts';
import { coreOf, viewerCore } from './placement.ts';
import type { Egress, Relay } from '../relay/index.ts';
import type { StreamDirectory } from './stream-directory.ts';
import { detourOf, isSameRoute, planRoute, type RoutePlan } from './route-plan.ts';

export interface PublishedStream<T extends PublisherTransport = PublisherTransport> {
  stream: string;
  session: string;
  epoch: number;
  policy: StreamPolicy;
  origin: Origin<T>;
  since: number;
}

interface ServedStream {
  state: StreamState;
  route: RoutePlan;
  /** By core and numbering. */
  distributions: Map<string, Promise<Distribution>>;
  open: Set<Distribution>;
  /** Said upstream, by the publisher's node. */
  hasEnded: boolean;
  /** No way to it works. */
  isLost: boolean;
  /** The directory does not know it (any more). */
  isForgotten: boolean;
  /** Runs while the viewers wait for it. */
  orphaned: Timer | undefined;
  /** Runs until the planned way is tried again. */
  detoured: Timer | undefined;
}

const TAKEN_OVER = 'another publisher took the stream over';
const REPUBLISH_MS = 10_000;
/** By then a relay that was killed runs again, or the operator has other ways. */
const DETOUR_MS = 10_000;

/** Sets of numbers that one stream is served under at once; each costs a feed of its own. Further viewers get an offer of ours. */
const MAX_NUMBERINGS = 8;

/** The streams of this node: those published here, and those served to viewers here. */
export class StreamHub {
  readonly #cores: MediaCores;
  readonly #relay: Pick<Relay, 'ingest' | 'egress'>;
  readonly #directory: StreamDirectory;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #republishMs: number;
  readonly #published = new Map<string, PublishedStream>();
  readonly #served = new Map<string, ServedStream>();
  readonly #holds: Holds;
  /** Requests under way, by stream. */
  readonly #asking = new Map<string, number>();

  constructor(parts: {
    cores: MediaCores;
    relay: Pick<Relay, 'ingest' | 'egress'>;
    directory: StreamDirectory;
    logger: Logger;
    clock: Clock;
    republishMs?: number;
  }) {
    this.#cores = parts.cores;
    this.#relay = parts.relay;
    this.#directory = parts.directory;
    this.#logger = parts.logger;
    this.#clock = parts.clock;
    this.#republishMs = parts.republishMs ?? REPUBLISH_MS;
    this.#holds = new Holds({ ...parts, plan: (state) => this.#plan(state) });
  }

  get published(): PublishedStream[] {
    return [...this.#published.values()];
  }

  /** Kept without a viewer, by control's wish. */
  get held(): string[] {
    return this.#holds.streams;
  }

  get served(): { stream: string; viewers: number }[] {
    return [...this.#served.values()].map(({ state, open }) => ({
      stream: state.stream,
      viewers: [...open].reduce((sum, { viewers }) => sum + viewers, 0),
    }));
  }

  /**
   * Makes this node the stream's origin.
   * @param mayPublish is asked once the policy is known and before a packet is taken; throws to refuse
   * @throws Problem when control refuses (409: the name is taken), no core lives, or the relay cannot take it
   */
  async publish<T extends PublisherTransport>(request: {
    stream: string;
    session: string;
    user?: string;
    coreKey: string;
    takeoverAllowed?: boolean;
    /** The publisher's own session, here or elsewhere, whose name it takes over. */
    replaces?: string;
    tracks: readonly PushTrack[];
    createTransport: (router: types.Router, core: MediaCore) => Promise<T>;
    mayPublish?: (policy: StreamPolicy) => void;
  }): Promise<PublishedStream<T>> {
    const { stream, session, user, takeoverAllowed, replaces } = request;
    const core = this.#coreAt(coreOf(request.coreKey, this.#cores.count));
    const origin = await Origin.open(core, request.tracks, (router) => request.createTransport(router, core));
    let granted: { epoch: number; policy: StreamPolicy } | undefined;
    try {
      granted = await this.#directory.publish({
        stream,
        session,
        ...(user !== undefined ? { user } : {}),
        ...(takeoverAllowed !== undefined ? { takeoverAllowed } : {}),
        ...(replaces !== undefined ? { replaces } : {}),
        tracks: origin.tracks,
      });
      request.mayPublish?.(granted.policy);
      await origin.limit(granted.policy.maxPublishKbps);
      const ingest = await this.#relay.ingest({ stream, epoch: granted.epoch, tracks: origin.tracks, from: origin.feedsFrom });
      if (origin.closed)
        throw new Problem(503, 'Media worker lost', { detail: 'publish again', headers: { 'retry-after': '1' } });
      await origin.feed(ingest);
      if ((this.#published.get(stream)?.epoch ?? -1) > granted.epoch)
        throw new Problem(409, 'Taken over', { detail: TAKEN_OVER });
    } catch (error) {
      if (granted) {
        this.#directory.unpublish(stream, granted.epoch, session);
        // The directory has taken the name from the one before.
        const before = this.#published.get(stream);
        if (before && before.epoch < granted.epoch) before.origin.close(TAKEN_OVER, 'superseded');
      }
      origin.close('publishing failed');
      throw error;
    }
    const published: PublishedStream<T> = { stream, session, ...granted, origin, since: this.#clock.wall() };
    const before = this.#published.get(stream);
    this.#published.set(stream, published);
    // Only now: those who carry the stream go on with the new epoch and hear of no end.
    before?.origin.close(TAKEN_OVER, 'superseded');
    origin.once('closed', (reason) => {
      if (this.#published.get(stream) === (published as PublishedStream)) this.#published.delete(stream);
      this.#directory.unpublish(stream, published.epoch, session);
      this.#logger.info({ stream, session, epoch: published.epoch, reason }, 'stream no longer published here');
    });
    this.#logger.info(
      { stream, session, epoch: published.epoch, core: core.index, tracks: origin.tracks.length },
      'stream published',
    );
    this.#reroute(stream);
    return published;
  }

  /**
   * Runs `use` with who has the stream, from this node's own knowledge or the directory. A stream that nobody here plays or asks for afterwards is released.
   * @throws Problem 404 when nobody publishes it; whatever `use` throws
   */
  async withStream<T>(stream: string, use: (state: StreamState) => Promise<T>): Promise<T> {
    this.#asking.set(stream, (this.#asking.get(stream) ?? 0) + 1);
    try {
      return await use(await this.#find(stream));
    } finally {
      const others = this.#asking.get(stream)! - 1;
      if (others > 0) this.#asking.set(stream, others);
      else this.#asking.delete(stream);
      this.#releaseUnused(stream);
    }
  }

  /**
   * The stream as served here, on a core with room and under the viewer's numbers; subscribes upstream for the first viewer.
   * @throws Problem when the stream cannot be reached
   */
  async distribute(state: StreamState, numbering: readonly TrackNumbering[] = []): Promise<Distribution> {
    const served = this.#serve(state);
    const viewers = Array.from({ length: this.#cores.count }, (_, core) =>
      [...served.open]
        .filter((distribution) => distribution.core.index === core)
        .reduce((sum, { viewers: count }) => sum + count, 0),
    );
    const core = this.#coreAt(viewerCore(state.stream, viewers));
    const key = JSON.stringify([core.index, numbering]);
    const existing = served.distributions.get(key);
    if (existing) return existing;
    // Under the worker's own numbers there is always room: what we offer to those whose numbers find none.
    if (numbering.length > 0 && served.distributions.size >= MAX_NUMBERINGS * this.#cores.count) {
      throw new Problem(406, 'Too many payload type mappings', {
        detail: 'play this stream with POST /signaling/pull, where the node makes the offer',
      });
    }
    const opening = this.#open(served, core, numbering);
    served.distributions.set(key, opening);
    opening.then(
      (distribution) => this.#watch(served, key, distribution),
      () => this.#drop(served, key),
    );
    return opening;
  }

  /** Whether one more set of numbers fits. */
  hasRoomForNumbering(stream: string): boolean {
    return (this.#served.get(stream)?.distributions.size ?? 0) < MAX_NUMBERINGS * this.#cores.count;
  }

  /** Control's settings have changed: other routes, other addresses. */
  applySettings(): void {
    for (const stream of this.#served.keys()) this.#reroute(stream);
    this.#holds.replan();
  }

  /** Control said something of one stream: another policy, another origin, wished here without a viewer; undefined: it has ended. */
  applyStream(stream: string, state: StreamState | undefined): void {
    const published = this.#published.get(stream);
    if (published && state?.epoch === published.epoch) this.#adoptPolicy(published, state.policy);
    const served = this.#served.get(stream);
    if (served) {
      // Viewers wait for the next publisher of the name as long as for the one before.
      if (state && state.epoch > served.state.epoch) this.#adopt(served);
      if (state) served.state = state;
      served.isForgotten = !state && !published;
      this.#settle(served);
      this.#reroute(stream);
    }
    if (state?.hold && !published) this.#holds.want(state);
    else this.#holds.release(stream, state ? 'no longer asked to hold it' : 'the stream ended');
  }

  /** Ends what is left: publishers' streams are unpublished. */
  close(reason: string): void {
    for (const { origin } of this.published) origin.close(reason);
    this.#holds.close(reason);
    for (const { open } of [...this.#served.values()]) for (const distribution of [...open]) distribution.close(reason);
  }

  #adoptPolicy(published: PublishedStream, policy: StreamPolicy): void {
    const { maxPublishKbps } = published.policy;
    published.policy = policy;
    if (policy.maxPublishKbps !== maxPublishKbps) published.origin.limit(policy.maxPublishKbps).catch(() => undefined);
  }

  #coreAt(index: number): MediaCore {
    const core = this.#cores.at(index);
    if (!core)
      throw new Problem(503, 'No media worker', {
        detail: 'the media workers of this node are being restarted',
        headers: { 'retry-after': '2' },
      });
    return core;
  }

  #serve(state: StreamState): ServedStream {
    const existing = this.#served.get(state.stream);
    if (existing) return existing;
    const served: ServedStream = {
      state,
      route: this.#plan(state),
      distributions: new Map(),
      open: new Set(),
      hasEnded: false,
      isLost: false,
      isForgotten: false,
      orphaned: undefined,
      detoured: undefined,
    };
    this.#served.set(state.stream, served);
    return served;
  }

  #plan(state: StreamState): RoutePlan {
    if (this.#published.has(state.stream)) return { ok: true, path: [], backup: [] };
    const { settings } = this.#directory;
    return settings ? planRoute(state, settings) : { ok: false, reason: 'this node has heard nothing from control yet' };
  }

  async #open(served: ServedStream, core: MediaCore, numbering: readonly TrackNumbering[]): Promise<Distribution> {
    const { stream, epoch, policy } = served.state;
    served.route = this.#plan(served.state);
    if (!served.route.ok)
      throw new Problem(503, 'No route to the stream', { detail: served.route.reason, headers: { 'retry-after': '2' } });
    const { path, backup } = served.route;
    const egress = await this.#relay.egress({ stream, epoch, path, backup, lingerMs: policy.lingerMs });
    this.#follow(served, egress);
    return Distribution.open(core, stream, egress, numbering);
  }

  #watch(served: ServedStream, key: string, distribution: Distribution): void {
    const { stream } = served.state;
    served.open.add(distribution);
    this.#logger.info({ stream, core: distribution.core.index }, 'stream served here');
    distribution.once('closed', (reason, ending) => {
      served.open.delete(distribution);
      this.#drop(served, key, ending);
      this.#logger.info({ stream, core: distribution.core.index, reason }, 'stream no longer served here');
    });
    // The relay keeps the upstream subscription for the linger; a worker's end of it is cheap to make again.
    distribution.on('idle', () => distribution.close('the last viewer left'));
    distribution.egress.on('description', ({ tracks }) => {
      if (!canContinue(distribution.tracks, tracks)) distribution.close('the publisher changed its tracks', 'displaced');
    });
  }

  /** From before the distribution stands: what is missed then would never be heard again. */
  #follow(served: ServedStream, egress: Egress): void {
    const is = (now: Pick<ServedStream, 'hasEnded' | 'isLost'>): void => {
      Object.assign(served, now);
      this.#settle(served);
    };
    const flows = (): void => is({ hasEnded: false, isLost: false });
    egress.on('description', flows);
    egress.on('flowing', flows);
    egress.on('ended', () => is({ hasEnded: true, isLost: false }));
    egress.on('lost', (reason) => {
      this.#logger.warn({ stream: served.state.stream, reason }, 'upstream lost');
      is({ hasEnded: served.hasEnded, isLost: true });
      this.#detour(served, egress);
    });
  }

  /** The relay looks for media on the planned way again when that is tried, and keeps what flows until then. */
  #detour(served: ServedStream, egress: Egress): void {
    const detour = detourOf(this.#plan(served.state), served.state);
    if (!detour || served.hasEnded) return;
    served.route = detour;
    egress.reroute(detour.path, detour.backup).catch(() => undefined);
    this.#clock.clearTimeout(served.detoured);
    served.detoured = this.#clock.setTimeout(() => this.#reroute(served.state.stream), DETOUR_MS);
    served.detoured.unref();
  }

  #drop(served: ServedStream, key: string, ending: Ending = 'over'): void {
    served.distributions.delete(key);
    const { stream } = served.state;
    if (served.distributions.size > 0 || this.#served.get(stream) !== served) return;
    this.#adopt(served);
    this.#served.delete(stream);
    if (ending !== 'displaced') return this.#releaseUnused(stream);
    // Its viewers are about to come back, also with control away.
    this.#clock.setTimeout(() => this.#releaseUnused(stream), this.#republishMs).unref();
  }

  async #find(stream: string): Promise<StreamState> {
    const published = this.#published.get(stream);
    const self = this.#directory.settings?.self;
    if (!published || !self) return this.#directory.resolve(stream).catch((error: unknown) => this.#flowing(stream, error));
    const { epoch, since, policy, origin } = published;
    const here = { node: self.node, region: self.region, host: '127.0.0.1', port: 0 };
    return { stream, epoch, since, policy, tracks: origin.tracks, origin: here };
  }

  /** What comes here is there, whatever the directory says. */
  #flowing(stream: string, unknown: unknown): StreamState {
    const served = this.#served.get(stream);
    if (!served || served.open.size === 0 || served.hasEnded || served.isLost) throw unknown;
    return served.state;
  }

  #releaseUnused(stream: string): void {
    if (!this.#asking.has(stream) && !this.#served.has(stream)) this.#directory.release(stream);
  }

  /** What flows is not gone: a publisher's node that only control cannot reach is forgotten there, and here goes on to be seen. */
  #settle(served: ServedStream): void {
    if (served.hasEnded || (served.isForgotten && served.isLost)) return this.#orphan(served);
    this.#adopt(served);
    for (const distribution of served.open) distribution.resume();
  }

  #adopt(served: ServedStream): void {
    this.#clock.clearTimeout(served.orphaned);
    served.orphaned = undefined;
  }

  /** A publisher that drops out may come back under the same name: viewers wait a while for it. */
  #orphan(served: ServedStream): void {
    for (const distribution of served.open) distribution.pause('the publisher is gone');
    served.orphaned ??= this.#clock.setTimeout(() => {
      for (const distribution of [...served.open]) distribution.close('the stream ended');
    }, this.#republishMs);
  }

  #reroute(stream: string): void {
    const served = this.#served.get(stream);
    if (!served) return;
    const route = this.#plan(served.state);
    // A route that vanished does not stop what flows.
    if (!route.ok || isSameRoute(route, served.route)) return;
    served.route = route;
    for (const { egress } of served.open) egress.reroute(route.path, route.backup).catch(() => undefined);
    this.#logger.info({ stream, path: route.path.map(({ node }) => node) }, 'stream rerouted');
  }
}
