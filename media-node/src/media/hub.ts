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
  /** The latest health from PublisherWatch; undefined before its first check. */
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
  /** Number of pending requests, by stream. */
  readonly #pendingRequests = new Map<string, number>();

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

  /** The policy of a stream that is published or served here. */
  policyOf(stream: string): StreamPolicy | undefined {
    return this.#published.get(stream)?.policy ?? this.#served.get(stream)?.state.policy;
  }

  /** Streams held without viewers, at control's request. */
  get held(): string[] {
    return this.#holds.streams;
  }

  get served(): { stream: string; viewers: number }[] {
    return [...this.#served.values()].map(({ state: { stream }, viewers }) => ({ stream, viewers }));
  }

  /**
   * Makes this node the stream's origin.
   * @throws Problem when control refuses (409: the name is taken), no core lives, or the relay cannot take it
   */
  async publish<T extends PublisherTransport>(request: {
    stream: string;
    session: string;
    /** The publisher's media token. */
    token?: string;
    coreKey: string;
    /** The publisher's own session, here or elsewhere, whose name it takes over. */
    replaces?: string;
    tracks: readonly PushTrack[];
    createTransport: (router: types.Router, core: MediaCore) => Promise<T>;
  }): Promise<PublishedStream<T>> {
    const { stream, session, token, replaces } = request;
    const core = this.#coreAt(coreOf(request.coreKey, this.#cores.count));
    const origin = await Origin.open(core, request.tracks, (router) => request.createTransport(router, core));
    let granted: { epoch: number; policy: StreamPolicy; grant?: string | undefined } | undefined;
    try {
      granted = await this.#directory.publish({
        stream,
        session,
        ...(token !== undefined ? { token } : {}),
        ...(replaces !== undefined ? { replaces } : {}),
        tracks: origin.tracks,
      });
      await origin.limit(granted.policy.maxPublishKbps);
      const ingest = await this.#relay.ingest({
        stream,
        epoch: granted.epoch,
        grant: granted.grant,
        tracks: origin.tracks,
        parameterSets: origin.parameterSets,
        ...(granted.policy.maxPublishKbps === undefined ? {} : { maxKbps: granted.policy.maxPublishKbps }),
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
        // The directory has already taken the name from the previous publisher.
        const before = this.#published.get(stream);
        if (before && before.epoch < granted.epoch) before.origin.close(TAKEN_OVER, 'superseded');
      }
      origin.close('publishing failed');
      throw error;
    }
    const { epoch, policy } = granted;
    const published: PublishedStream<T> = { stream, session, epoch, policy, origin, since: this.#clock.wall() };
    const before = this.#published.get(stream);
    this.#published.set(stream, published);
    // The old publisher ends only now, so that downstream nodes continue with the new epoch and see no end of the stream.
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
   * Runs `use` with the stream's state, from this node or from the directory. Afterwards releases the stream if it has no viewers and no pending requests.
   * @throws Problem 404 when nobody publishes it; whatever `use` throws
   */
  async withStream<T>(stream: string, use: (state: StreamState) => Promise<T>): Promise<T> {
    this.#pendingRequests.set(stream, (this.#pendingRequests.get(stream) ?? 0) + 1);
    try {
      return await use(await this.#find(stream));
    } finally {
      const others = this.#pendingRequests.get(stream)! - 1;
      if (others > 0) this.#pendingRequests.set(stream, others);
      else this.#closeUnrequested(stream);
    }
  }

  /**
   * The stream's distribution on a core that has room. The first viewer makes the node subscribe upstream.
   * @throws Problem when the stream cannot be reached
   */
  async distribute(state: StreamState): Promise<Distribution> {
    const served = this.#served.get(state.stream);
    const viewers = Array.from({ length: this.#cores.count }, (_, core) => served?.viewersOn(core) ?? 0);
    const core = this.#coreAt(viewerCore(state.stream, viewers));
    return (served ?? this.#serve(state)).distribute(core);
  }

  /** Applies changed settings: routes and addresses. */
  applySettings(): void {
    for (const served of this.#served.values()) served.reroute();
    this.#holds.replan();
  }

  /** Applies control's state of one stream: its policy, its origin, whether to hold it here. Undefined: the stream ended. */
  applyStream(stream: string, state: StreamState | undefined): void {
    const published = this.#published.get(stream);
    if (published && state?.epoch === published.epoch) this.#adoptPolicy(published, state.policy);
    this.#served.get(stream)?.learn(state, published !== undefined);
    if (state?.hold && !published) this.#holds.want(state);
    else this.#holds.release(stream, state ? 'no longer asked to hold it' : 'the stream ended');
  }

  /** Control has signed the grant of a publication with another key. */
  renewGrant(stream: string, epoch: number, grant: string): void {
    const published = this.#published.get(stream);
    if (published?.epoch === epoch) published.origin.renewGrant(grant);
  }

  /** Unpublishes and closes all streams of this node. */
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
      hasPendingRequests: () => this.#pendingRequests.has(state.stream),
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
    // Keep the state until the displaced viewers have reconnected, which must work without control too.
    this.#clock.setTimeout(() => this.#releaseUnused(stream), this.#republishMs).unref();
  }

  async #find(stream: string): Promise<StreamState> {
    const published = this.#published.get(stream);
    const self = this.#directory.settings?.self;
    if (!published || !self) return this.#directory.resolve(stream).catch((error: unknown) => this.#flowingState(stream, error));
    const { epoch, since, policy, origin } = published;
    const here = { node: self.node, region: self.region, host: '127.0.0.1', port: 0 };
    return { stream, epoch, since, policy, tracks: origin.tracks, origin: here };
  }

  /** The state of a stream whose media still arrives, even when the directory does not know it. @throws `unknown` otherwise */
  #flowingState(stream: string, unknown: unknown): StreamState {
    const served = this.#served.get(stream);
    if (!served?.isFlowing) throw unknown;
    return served.state;
  }

  /** Closes and releases what was opened for a request that then failed: no viewer will leave it. */
  #closeUnrequested(stream: string): void {
    this.#pendingRequests.delete(stream);
    this.#served.get(stream)?.closeUnused();
    this.#releaseUnused(stream);
  }

  #releaseUnused(stream: string): void {
    if (!this.#pendingRequests.has(stream) && !this.#served.has(stream)) this.#directory.release(stream);
  }
}

function layersOf(tracks: readonly TrackDescription[]): (string | number)[][] {
  return tracks.flatMap(({ layers }) => (layers.length > 1 ? [layers.map(({ rid, layer }) => rid ?? layer)] : []));
}
