import { EventEmitter } from 'node:events';
import type { TrackDescription } from '@millrace/api';
import { Problem } from '@millrace/service';
import type { types } from 'mediasoup';
import type { PullSelection } from '../sdp/index.ts';
import { LISTEN_ON_LOOPBACK, type MediaCore } from './cores.ts';
import { orWorkerLost, WORKER_DIED, type Ending } from './ending.ts';
import { Feeds } from './feeds.ts';
import type { TrackNumbers } from './router-codecs.ts';
import type { EgressHandle } from '../relay/index.ts';
import { ownNumbers, servableNumbers } from './router-codecs.ts';
import { Viewer, type ViewerTransport } from './viewer.ts';

interface DistributionEvents {
  closed: [reason: string, ending: Ending];
  /** The last viewer left. */
  idle: [];
}

/**
 * A stream as one core serves it to viewers of this node. The relay thread sends ordered packets to a plain transport. Its producers, one for each set of
 * payload types that viewers use (Feeds), supply the viewers' consumers.
 */
export class Distribution extends EventEmitter<DistributionEvents> {
  readonly core: MediaCore;
  readonly stream: string;
  #tracks: readonly TrackDescription[];
  readonly egress: EgressHandle;
  readonly #router: types.Router;
  readonly #feeds: Feeds;
  readonly #viewers = new Set<Viewer>();
  readonly #wanted = new Map<number, number>();
  #closed = false;
  #paused = false;

  private constructor(
    core: MediaCore,
    stream: string,
    egress: EgressHandle,
    router: types.Router,
    feeds: Feeds,
    tracks: TrackDescription[],
  ) {
    super();
    this.setMaxListeners(0);
    this.core = core;
    this.stream = stream;
    this.egress = egress;
    this.#tracks = tracks;
    this.#router = router;
    this.#feeds = feeds;
    router.once('workerclose', () => this.close(WORKER_DIED, 'displaced'));
    egress.on('description', (description) => this.#learn(description.tracks));
  }

  /** Takes ownership of the egress: closes it with the distribution, and when this rejects. */
  static async open(core: MediaCore, stream: string, egress: EgressHandle): Promise<Distribution> {
    let router: types.Router | undefined;
    try {
      const { tracks } = await described(stream, egress);
      router = await core.worker.createRouter();
      const plain = await router.createPlainTransport({
        listenInfo: LISTEN_ON_LOOPBACK,
        rtcpMux: true,
      });
      if (router.closed) throw new Error('the router is closed');
      return new Distribution(core, stream, egress, router, new Feeds(router, plain, egress), tracks);
    } catch (error) {
      router?.close();
      egress.close().catch(() => undefined);
      throw orWorkerLost(core.worker, error);
    }
  }

  /** The stream's tracks. Layers are in order of quality, lowest first, as far as that is known. */
  get tracks(): readonly TrackDescription[] {
    return this.#tracks;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  /** How many producers supply the viewers: one for each track and set of payload types in use. */
  get feeds(): number {
    return this.#feeds.size;
  }

  /** Payload types for the node's own offers. */
  payloadTypes(): Map<number, TrackNumbers> {
    return ownNumbers(this.tracks);
  }

  async createTransport<T extends ViewerTransport>(create: (router: types.Router) => Promise<T>): Promise<T> {
    try {
      return await create(this.#router);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  /** Adds a viewer. Rejects, and closes the transport, when the worker refuses. */
  async addViewer<T extends ViewerTransport>(transport: T, selections: readonly PullSelection[]): Promise<Viewer<T>> {
    const consumers = new Map<number, types.Consumer>();
    const leave: (() => void)[] = [];
    try {
      for (const selection of selections) consumers.set(selection.track, await this.#consume(transport, selection, leave));
    } catch (error) {
      transport.close();
      for (const one of leave) one();
      throw this.#explained(error);
    }
    if (this.#closed) {
      transport.close();
      throw this.#explained(undefined);
    }
    const viewer = new Viewer(transport, consumers, selections);
    this.#viewers.add(viewer);
    viewer.on('preference', () => this.#requestLayers());
    viewer.once('closed', () => {
      this.#viewers.delete(viewer);
      if (this.#closed) return;
      for (const one of leave) one();
      this.#requestLayers();
      if (this.#viewers.size === 0) this.emit('idle');
    });
    this.#requestLayers();
    return viewer;
  }

  /** The publisher is gone. The viewers keep their sessions and wait for a publisher of the same name. */
  pause(reason: string): void {
    if (this.#paused) return;
    this.#paused = true;
    for (const viewer of this.#viewers) viewer.emit('paused', reason);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    for (const viewer of this.#viewers) viewer.emit('resumed');
  }

  close(reason: string, ending: Ending = 'over'): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const viewer of [...this.#viewers]) viewer.close(reason, ending);
    this.egress.close().catch(() => undefined);
    this.#router.close();
    this.emit('closed', reason, ending);
  }

  /** The error to report to a viewer that could not join. The usual cause is that the distribution closed in the meantime. */
  #explained(error: unknown): unknown {
    const explained = orWorkerLost(this.core.worker, error);
    if (explained instanceof Problem || !this.#closed) return explained;
    return new Problem(503, 'The stream has just changed', {
      detail: `${this.stream} ended or changed its tracks meanwhile; try again`,
      headers: { 'retry-after': '1' },
    });
  }

  async #consume(transport: ViewerTransport, selection: PullSelection, leave: (() => void)[]): Promise<types.Consumer> {
    const { track } = selection;
    const description = this.tracks.find((known) => known.track === track)!;
    const numbers = servableNumbers(selection);
    const { producer, media, rtx } = await this.#feeds.join(description, numbers);
    leave.push(() => this.#feeds.leave(track, numbers));
    // Without a repair stream the worker retransmits lost packets unchanged (RFC 4585 NACK without RFC 4588).
    const codecs = [{ ...media, rtcpFeedback: selection.rtcpFeedback }];
    if (rtx) codecs.push({ ...rtx, rtcpFeedback: [] });
    return transport.consume({
      producerId: producer.id,
      rtpCapabilities: {
        codecs,
        headerExtensions: selection.extensions.map((ext) => ({
          kind: selection.kind,
          uri: ext.uri as types.RtpHeaderExtensionUri,
          preferredId: ext.id,
        })),
      },
      mid: selection.wireMid,
      enableRtx: selection.rtcpFeedback.some((fb) => fb.type === 'nack' && !fb.parameter),
    });
  }

  /** Adopts a new order of layers. The egress sends each layer under the SSRC of its rank, and viewers keep the rank that they prefer. */
  #learn(tracks: readonly TrackDescription[]): void {
    if (!canContinue(this.#tracks, tracks)) return;
    this.#tracks = tracks;
    this.#requestLayers();
  }

  /** Requests from upstream only the layers up to the highest that a viewer prefers. The relay drops layers that nobody downstream requests. */
  #requestLayers(): void {
    for (const { track, layers } of this.#tracks) {
      if (layers.length < 2) continue;
      const top = layers.length - 1;
      const preferred = [...this.#viewers]
        .filter((viewer) => viewer.plays(track))
        .map((viewer) => viewer.preferredLayer(track) ?? top);
      const highest = preferred.length > 0 ? Math.min(Math.max(...preferred), top) : top;
      const mask = layers.slice(0, highest + 1).reduce((bits, { layer }) => bits | (1 << layer), 0);
      if (this.#wanted.get(track) === mask) continue;
      this.#wanted.set(track, mask);
      this.egress.setLayers(track, mask).catch(() => undefined);
    }
  }
}

/** Long enough to set up one trunk after another on a path over several relays. */
const DESCRIBED_WITHIN_MS = 8000;

async function described(stream: string, egress: EgressHandle): Promise<{ tracks: TrackDescription[] }> {
  try {
    return await egress.described(DESCRIBED_WITHIN_MS);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Problem(504, 'The stream cannot be reached', {
      detail: `${stream}: ${why}; try again`,
      headers: { 'retry-after': '1' },
    });
  }
}

/** Whether a new publisher's tracks can reuse the producers of the current viewers. */
export function canContinue(before: readonly TrackDescription[], now: readonly TrackDescription[]): boolean {
  return (
    before.length === now.length &&
    before.every((old) => {
      const next = now.find(({ track }) => track === old.track);
      return next && formatOf(next) === formatOf(old) && next.layers.length === old.layers.length;
    })
  );
}

function formatOf({ kind, codec }: TrackDescription): string {
  const { mimeType, clockRate, channels, parameters } = codec;
  return JSON.stringify([kind, mimeType, clockRate, channels, parameters?.['profile-level-id'], parameters?.['profile-id']]);
}
