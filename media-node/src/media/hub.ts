import type { PublisherStatus, StreamPolicy, StreamState, TrackDescription } from '@millrace/api';
import { Problem, type Clock, type Logger } from '@millrace/service';
import type { types } from 'mediasoup';
import { playabilityOf, type PushTrack } from '../sdp/index.ts';
import type { MediaCore, MediaCores } from './cores.ts';
import type { Ending } from './ending.ts';
import { Holds } from './holds.ts';
import type { Distribution } from './distribution.ts';
import { Origin, type PublisherTransport } from './origin.ts';
import { coreOf, viewerCore } from './placement.ts';
import type { Relay } from '../relay/index.ts';
import type { StreamDirectory } from './stream-directory.ts';
import { planRoute, type RoutePlan } from './route-plan.ts';
import { ServedStream } from './served-stream.ts';

export interface PublishedStream<T extends PublisherTransport = PublisherTransport> {
  stream: string;
  session: string;
  epoch: number;
  policy: StreamPolicy;
  origin: Origin<T>;
  since: number;
  /** As judged last by the watch over publishers; undefined before its first look. */
  status?: PublisherStatus;
}

const TAKEN_OVER = 'another publisher took the stream over';
const REPUBLISH_MS = 10_000;

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
    return [...this.#served.values()].map(({ state: { stream }, viewers }) => ({ stream, viewers }));
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
      const ingest = await this.#relay.ingest({
        stream,
        epoch: granted.epoch,
        tracks: origin.tracks,
        parameterSets: origin.parameterSets,
        from: origin.feedsFrom,
      });
      if (origin.closed)
        throw new Problem(503, 'Media worker lost', { detail: 'publish again', headers: { 'retry-after': '1' } });
      await origin.feed(ingest);
      if ((this.#published.get(stream)?.epoch ?? -1) > granted.epoch)
        throw new Problem(409, 'Taken over', { detail: TAKEN_OVER, headers: { 'retry-after': '10' } });
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
    origin.on('tracks', (tracks) => {
      this.#directory.describe(stream, published.epoch, session, tracks);
      this.#logger.info({ stream, session, layers: layersOf(tracks) }, 'order of simulcast layers seen, lowest first');
    });
    origin.once('closed', (reason) => {
      if (this.#published.get(stream) === (published as PublishedStream)) this.#published.delete(stream);
      this.#directory.unpublish(stream, published.epoch, session);
      this.#logger.info({ stream, session, epoch: published.epoch, reason }, 'stream no longer published here');
    });
    this.#logger.info(
      { stream, session, epoch: published.epoch, core: core.index, tracks: origin.tracks.length },
      'stream published',
    );
    for (const { track, codec } of origin.tracks) {
      const hint = playabilityOf(codec);
      if (hint !== undefined) this.#logger.warn({ stream, session, track, hint }, 'few viewers can play what is published');
    }
    this.#served.get(stream)?.reroute();
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
      else this.#nobodyAsks(stream);
    }
  }

  /**
   * The stream as served here, on a core with room; subscribes upstream for the first viewer.
   * @throws Problem when the stream cannot be reached
   */
  async distribute(state: StreamState): Promise<Distribution> {
    const served = this.#served.get(state.stream);
    const viewers = Array.from({ length: this.#cores.count }, (_, core) => served?.viewersOn(core) ?? 0);
    const core = this.#coreAt(viewerCore(state.stream, viewers));
    return (served ?? this.#serve(state)).distribute(core);
  }

  /** Control's settings have changed: other routes, other addresses. */
  applySettings(): void {
    for (const served of this.#served.values()) served.reroute();
    this.#holds.replan();
  }

  /** Control said something of one stream: another policy, another origin, wished here without a viewer; undefined: it has ended. */
  applyStream(stream: string, state: StreamState | undefined): void {
    const published = this.#published.get(stream);
    if (published && state?.epoch === published.epoch) this.#adoptPolicy(published, state.policy);
    this.#served.get(stream)?.learn(state, published !== undefined);
    if (state?.hold && !published) this.#holds.want(state);
    else this.#holds.release(stream, state ? 'no longer asked to hold it' : 'the stream ended');
  }

  /** Ends what is left: publishers' streams are unpublished. */
  close(reason: string): void {
    for (const { origin } of this.published) origin.close(reason);
    this.#holds.close(reason);
    for (const served of [...this.#served.values()]) served.close(reason);
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
    const served = new ServedStream(state, {
      relay: this.#relay,
      plan: (now) => this.#plan(now),
      isAskedFor: () => this.#asking.has(state.stream),
      onUnserved: (ending) => this.#unserved(state.stream, ending),
      logger: this.#logger,
      clock: this.#clock,
      republishMs: this.#republishMs,
    });
    this.#served.set(state.stream, served);
    return served;
  }

  #plan(state: StreamState): RoutePlan {
    if (this.#published.has(state.stream)) return { ok: true, path: [], backup: [] };
    const { settings } = this.#directory;
    return settings ? planRoute(state, settings) : { ok: false, reason: 'this node has heard nothing from control yet' };
  }

  #unserved(stream: string, ending: Ending): void {
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
    if (!served?.isFlowing) throw unknown;
    return served.state;
  }

  /** What was opened for a viewer who then could not have it is left by nobody. */
  #nobodyAsks(stream: string): void {
    this.#asking.delete(stream);
    this.#served.get(stream)?.closeUnused();
    this.#releaseUnused(stream);
  }

  #releaseUnused(stream: string): void {
    if (!this.#asking.has(stream) && !this.#served.has(stream)) this.#directory.release(stream);
  }
}

function layersOf(tracks: readonly TrackDescription[]): (string | number)[][] {
  return tracks.flatMap(({ layers }) => (layers.length > 1 ? [layers.map(({ rid, layer }) => rid ?? layer)] : []));
}
